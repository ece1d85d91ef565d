package device

import (
	"fmt"
	"sync"
	"unsafe"
)

// Sharer is a Device outside of the process's memory that holds one copy of a constant for all programs that read it.
type Sharer interface {
	Constants() *Constants
}

// Constants are copies of values of the process that stay as they are, such as weights: one for each address, counted. The zero value is
// ready. It is safe for concurrent use.
type Constants struct {
	mu   sync.Mutex
	live map[constantKey]*constant
}

type constantKey struct {
	at    Pointer
	bytes int
}

type constant struct {
	memory Memory
	users  int
}

// Hold returns d's copy of src, which is made when there is none. The bytes at src's address must stay as they are, and the address must
// stay src's, until as many calls of Drop.
func (c *Constants) Hold(d Device, src []byte) (Memory, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := keyOf(src)
	if found := c.live[key]; found != nil {
		found.users++
		return found.memory, nil
	}
	m, err := d.Alloc(int64(len(src)))
	if err != nil {
		return Memory{}, err
	}
	if err := d.Upload(m.Ptr, src); err != nil {
		return Memory{}, fmt.Errorf("%w (%w)", err, d.Free(m))
	}
	if c.live == nil {
		c.live = map[constantKey]*constant{}
	}
	c.live[key] = &constant{m, 1}
	return m, nil
}

// Drop gives the copy of src back when nobody holds it any more.
func (c *Constants) Drop(d Device, src []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := keyOf(src)
	found := c.live[key]
	if found == nil {
		return fmt.Errorf("%s: a constant of %d bytes is dropped that nobody holds", d.Name(), len(src))
	}
	if found.users--; found.users > 0 {
		return nil
	}
	delete(c.live, key)
	return d.Free(found.memory)
}

func keyOf(src []byte) constantKey {
	return constantKey{unsafe.Pointer(unsafe.SliceData(src)), len(src)}
}
