//go:build gpu

package cuda

import (
	"fmt"
	"sync"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
)

// Freed memory of small values is kept for the next value of the same size, because the driver's own functions wait
// for the whole device, and programs are fed with values of the same sizes again and again. Everything happens in the
// order of one stream, so that what used the memory has ended when it is used again.
const (
	keptBytes = 64 << 20  // of one value
	keptTotal = 512 << 20 // of all
)

type pool struct {
	mu        sync.Mutex
	live      map[device.Pointer]int64   // the sizes that were asked for
	kept      map[int64][]device.Pointer // by size in the device's memory
	keptBytes int64
	allocated int64
}

// blockSize is the size that is taken from the device, for which something kept may serve.
func blockSize(bytes int64) int64 { return (max(bytes, 1) + 255) / 256 * 256 }

func (d *Device) Alloc(bytes int64) (device.Memory, error) {
	if bytes < 0 {
		return device.Memory{}, fmt.Errorf("%s: allocate %d bytes: want a size", d.Name(), bytes)
	}
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	if d.closed {
		return device.Memory{}, errClosed
	}
	size := blockSize(bytes)
	var p device.Pointer
	d.ops.Order.Lock()
	defer d.ops.Order.Unlock()
	err := d.stream.Within(func() (err error) {
		if list := d.pool.kept[size]; len(list) > 0 {
			p = list[len(list)-1]
			d.pool.kept[size] = list[:len(list)-1]
			d.pool.keptBytes -= size
		} else if p, err = driver.Alloc(size); err != nil {
			if !driver.OutOfMemory(err) || d.pool.keptBytes == 0 {
				return err
			}
			if err = d.pool.release(); err != nil {
				return err
			}
			if p, err = driver.Alloc(size); err != nil {
				return err
			}
		}
		return d.stream.Zero(p, size)
	})
	if err != nil {
		return device.Memory{}, fmt.Errorf("%s: allocate %d bytes: %w", d.Name(), bytes, err)
	}
	d.pool.live[p] = bytes
	d.pool.allocated += bytes
	return device.Memory{Ptr: p, Bytes: bytes}, nil
}

func (d *Device) Free(m device.Memory) error {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	bytes, ok := d.pool.live[m.Ptr]
	if !ok {
		return fmt.Errorf("%s: free %p: not allocated here", d.Name(), m.Ptr)
	}
	delete(d.pool.live, m.Ptr)
	d.pool.allocated -= bytes
	size := blockSize(bytes)
	if size <= keptBytes && d.pool.keptBytes+size <= keptTotal {
		d.pool.kept[size] = append(d.pool.kept[size], m.Ptr)
		d.pool.keptBytes += size
		return nil
	}
	d.ops.Order.Lock()
	defer d.ops.Order.Unlock()
	return driver.IgnoreIfLost(d.stream.Within(func() error { return driver.Free(m.Ptr) }))
}

// release returns what is kept to the driver.
func (p *pool) release() error {
	for size, list := range p.kept {
		for _, m := range list {
			if err := driver.Free(m); err != nil {
				return err
			}
		}
		delete(p.kept, size)
	}
	p.keptBytes = 0
	return nil
}

func (d *Device) Allocated() int64 {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	return d.pool.allocated
}

// Available is what the GPU has free, other processes' memory not counted; 0 if the driver doesn't say.
func (d *Device) Available() int64 {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	var free int64
	if err := d.stream.Within(func() (err error) { free, err = driver.Available(); return err }); err != nil {
		return 0
	}
	return free + d.pool.keptBytes
}
