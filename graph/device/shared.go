package device

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

// Shared is memory of a device whose contents depend on a key alone, such as a weight and the way in which it is
// rearranged: made once for each key, counted, and freed when nobody holds it any more. The zero value is ready. It is
// safe for concurrent use.
type Shared[K comparable] struct {
	mu   sync.Mutex
	live map[K]*Held[K]
}

// Held is one piece of shared memory.
type Held[K comparable] struct {
	Memory
	key   K
	users int
}

// Hold returns the memory of a key until Drop. Where nobody holds it yet, fill makes its contents.
func (s *Shared[K]) Hold(d Device, key K, bytes int64, fill func(Memory) error) (*Held[K], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.live[key]; found != nil {
		found.users++
		return found, nil
	}
	m, err := d.Alloc(bytes)
	if err != nil {
		return nil, err
	}
	if err := fill(m); err != nil {
		return nil, errors.Join(err, d.Free(m))
	}
	if s.live == nil {
		s.live = map[K]*Held[K]{}
	}
	made := &Held[K]{m, key, 1}
	s.live[key] = made
	return made, nil
}

// Drop ends one Hold.
func (s *Shared[K]) Drop(d Device, h *Held[K]) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[h.key] != h {
		return fmt.Errorf("%s: %d bytes are dropped that nobody holds", d.Name(), h.Bytes)
	}
	if h.users--; h.users > 0 {
		return nil
	}
	delete(s.live, h.key)
	return d.Free(h.Memory)
}

// Constants are copies of values of the process that stay as they are, such as weights, by their addresses.
type Constants = Shared[Constant]

// Constant is a value of the process whose bytes and address must not change while its copy is held.
type Constant struct {
	At    Pointer
	Bytes int
}

// ConstantOf is the key of bytes of the process.
func ConstantOf(src []byte) Constant {
	return Constant{unsafe.Pointer(unsafe.SliceData(src)), len(src)}
}

// Sharer is a Device outside of the process's memory that holds one copy of a constant for all programs that read it.
type Sharer interface {
	Device
	Constants() *Constants
}
