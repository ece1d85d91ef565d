//go:build gpu

package cuda

import (
	"fmt"
	"sync"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/histdist/histdist/graph/device"
)

// Freed memory of small values is kept for the next value of the same size, for the driver's own functions wait for the whole device,
// and programs are fed with values of the same sizes again and again. Everything happens in the order of one stream, so that what used
// the memory has ended when it is used again.
const (
	keptBytes = 64 << 20  // of one value
	keptTotal = 512 << 20 // of all
)

type pool struct {
	mu        sync.Mutex
	live      map[unsafe.Pointer]int64 // the sizes that were asked for
	kept      map[int64][]cu.DevicePtr // by size in the device's memory
	keptBytes int64
	allocated int64
}

// rounded is the size that is taken from the device, for which something kept may serve.
func rounded(bytes int64) int64 { return (max(bytes, 1) + 255) / 256 * 256 }

// Alloc returns zeros.
func (d *Device) Alloc(bytes int64) (device.Memory, error) {
	if bytes < 0 {
		return device.Memory{}, fmt.Errorf("%s: allocate %d bytes: want a size", d.Name(), bytes)
	}
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	if d.closed {
		return device.Memory{}, errClosed
	}
	size := rounded(bytes)
	var p cu.DevicePtr
	d.order.Lock()
	defer d.order.Unlock()
	err := d.within(func() (err error) {
		if list := d.pool.kept[size]; len(list) > 0 {
			p = list[len(list)-1]
			d.pool.kept[size] = list[:len(list)-1]
			d.pool.keptBytes -= size
		} else if p, err = cu.MemAlloc(size); err != nil {
			if !full(explain(err)) || d.pool.keptBytes == 0 {
				return err
			}
			if err = d.giveBack(); err != nil {
				return err
			}
			if p, err = cu.MemAlloc(size); err != nil {
				return err
			}
		}
		return cu.MemsetD8Async(p, 0, size, d.stream)
	})
	if err != nil {
		return device.Memory{}, fmt.Errorf("%s: allocate %d bytes: %w", d.Name(), bytes, err)
	}
	at := pointerOf(p)
	d.pool.live[at] = bytes
	d.pool.allocated += bytes
	return device.Memory{Ptr: at, Bytes: bytes}, nil
}

// pointerOf takes an address of the device for one of the process. Nothing reads through it here.
func pointerOf(p cu.DevicePtr) device.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// Free gives memory back; it must come from Alloc.
func (d *Device) Free(m device.Memory) error {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	bytes, ok := d.pool.live[m.Ptr]
	if !ok {
		return fmt.Errorf("%s: free %p: not allocated here", d.Name(), m.Ptr)
	}
	delete(d.pool.live, m.Ptr)
	d.pool.allocated -= bytes
	size := rounded(bytes)
	if size <= keptBytes && d.pool.keptBytes+size <= keptTotal {
		d.pool.kept[size] = append(d.pool.kept[size], address(m.Ptr))
		d.pool.keptBytes += size
		return nil
	}
	d.order.Lock()
	defer d.order.Unlock()
	return unlessLost(d.within(func() error { return cu.MemFree(address(m.Ptr)) }))
}

// giveBack returns what is kept to the driver.
func (d *Device) giveBack() error {
	for size, list := range d.pool.kept {
		for _, p := range list {
			if err := cu.MemFree(p); err != nil {
				return err
			}
		}
		delete(d.pool.kept, size)
	}
	d.pool.keptBytes = 0
	return nil
}

// Allocated is the number of bytes that are allocated now.
func (d *Device) Allocated() int64 {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	return d.pool.allocated
}

// Available is what the GPU has free, what other processes hold taken off; 0 if the driver doesn't say.
func (d *Device) Available() int64 {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	var free int64
	if err := d.within(func() (err error) { free, _, err = cu.MemInfo(); return err }); err != nil {
		return 0
	}
	return free + d.pool.keptBytes
}
