// Package hostmem allocates the process's memory outside Go's heap, for devices that compute in it: page-aligned, zero,
// returned to the system when it is freed, and counted.
package hostmem

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/internal/hostinfo"
)

// Allocator hands out memory and counts it: the part of device.Device that all devices of the process's memory share,
// to be embedded. The zero value is ready. It is safe for concurrent use.
type Allocator struct {
	mu    sync.Mutex
	live  map[unsafe.Pointer][]byte
	bytes int64
	count int
}

// hugePage is the size above which transparent huge pages are asked for: fewer TLB misses in large GEMMs.
const hugePage = 2 << 20

// Large values begin at different offsets in a page: kernels that go through several of them at the same pace, such as
// AdamW, would otherwise compete for the same cache sets (2.3× slower at 100 million parameters).
const (
	stagger = 4096 + 64
	places  = 16
)

// Alloc returns at least one byte.
func (a *Allocator) Alloc(bytes int64) (device.Memory, error) {
	if bytes < 0 {
		return device.Memory{}, fmt.Errorf("allocate %d bytes: want a size", bytes)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	shift := 0
	if bytes >= hugePage {
		shift = a.count % places * stagger
		a.count++
	}
	b, err := Reserve(int(max(bytes, 1)) + shift)
	if err != nil {
		return device.Memory{}, fmt.Errorf("allocate %d bytes: %w", bytes, err)
	}
	if err := Commit(b); err != nil {
		return device.Memory{}, errors.Join(fmt.Errorf("allocate %d bytes: %w", bytes, err), Release(b))
	}
	if bytes >= hugePage {
		adviseHuge(b)
	}
	p := unsafe.Pointer(&b[shift])
	if a.live == nil {
		a.live = map[unsafe.Pointer][]byte{}
	}
	a.live[p] = b
	a.bytes += bytes
	return device.Memory{Ptr: p, Bytes: bytes}, nil
}

func (a *Allocator) Free(m device.Memory) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, ok := a.live[m.Ptr]
	if !ok {
		return fmt.Errorf("free %p: not allocated here", m.Ptr)
	}
	delete(a.live, m.Ptr)
	a.bytes -= m.Bytes
	return Release(b)
}

func (a *Allocator) Allocated() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bytes
}

func (a *Allocator) HostMemory() bool { return true }

// Available is what the system has without swapping.
func (a *Allocator) Available() int64 { return hostinfo.AvailableMemory() }

func (a *Allocator) Upload(dst device.Pointer, src []byte) error {
	copy(device.Slice[byte](dst, len(src)), src)
	return nil
}

func (a *Allocator) Download(dst []byte, src device.Pointer) error {
	copy(dst, device.Slice[byte](src, len(dst)))
	return nil
}

func (a *Allocator) Synchronize() error { return nil }
