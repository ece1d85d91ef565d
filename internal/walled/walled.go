// Package walled puts a wall between the process and a processor device's memory, for tests of code for GPUs:
// programs, the trainer and the pipeline on a device outside of the process's memory, without one.
//
// A device's memory is there twice in the address space: at the addresses that callers get nothing can be read or
// written, so that code that touches the device's memory without Upload and Download ends the process, and kernels work
// on the other side. Freed memory is filled with NaN and allocated again at once.
package walled

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/internal/hostmem"
)

// reserved is how many addresses a device has. They cost nothing until they are used.
const reserved = 8 << 30

// Device is a device whose memory the process cannot address.
type Device struct {
	inside    device.Device
	wall      []byte // what callers see
	memory    []byte // what kernels see
	constants device.Constants

	mu    sync.Mutex
	next  int64
	live  map[device.Pointer]int64
	kept  map[int64][]device.Pointer
	bytes int64
	loads int64
}

var (
	_ device.Device = (*Device)(nil)
	_ device.Sharer = (*Device)(nil)
)

// New wraps a device of the process's memory, which is closed with this one.
func New(inside device.Device) (*Device, error) {
	if !inside.HostMemory() {
		return nil, fmt.Errorf("%s does not compute in the process's memory", inside.Name())
	}
	d := &Device{inside: inside, live: map[device.Pointer]int64{}, kept: map[int64][]device.Pointer{}}
	var err error
	if d.wall, err = hostmem.Reserve(reserved); err != nil {
		return nil, err
	}
	if d.memory, err = hostmem.Reserve(reserved); err != nil {
		return nil, errors.Join(err, hostmem.Release(d.wall))
	}
	return d, nil
}

// through is the kernels' address of a caller's. Other addresses, such as the kernels' own, stay.
func (d *Device) through(p device.Pointer) device.Pointer {
	at := uintptr(p) - uintptr(unsafe.Pointer(unsafe.SliceData(d.wall)))
	if p == nil || at >= reserved {
		return p
	}
	return unsafe.Pointer(&d.memory[at])
}

func (d *Device) Name() string                 { return "walled:" + d.inside.Name() }
func (d *Device) Has(t device.DType) bool      { return d.inside.Has(t) }
func (d *Device) HostMemory() bool             { return false }
func (d *Device) Constants() *device.Constants { return &d.constants }

func (d *Device) Alloc(bytes int64) (device.Memory, error) {
	if bytes < 0 {
		return device.Memory{}, fmt.Errorf("%s: allocate %d bytes: want a size", d.Name(), bytes)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	size := rounded(bytes)
	var p device.Pointer
	if list := d.kept[size]; len(list) > 0 {
		p = list[len(list)-1]
		d.kept[size] = list[:len(list)-1]
	} else {
		if d.next+size > reserved {
			return device.Memory{}, fmt.Errorf("%s: allocate %d bytes: %d are used", d.Name(), bytes, d.next)
		}
		if err := hostmem.Commit(d.memory[d.next : d.next+size]); err != nil {
			return device.Memory{}, fmt.Errorf("%s: allocate %d bytes: %w", d.Name(), bytes, err)
		}
		p = unsafe.Pointer(&d.wall[d.next])
		d.next += size
	}
	clear(device.Slice[byte](d.through(p), int(size)))
	d.live[p] = bytes
	d.bytes += bytes
	return device.Memory{Ptr: p, Bytes: bytes}, nil
}

func rounded(bytes int64) int64 { return (max(bytes, 1) + 255) / 256 * 256 }

func (d *Device) Free(m device.Memory) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	bytes, ok := d.live[m.Ptr]
	if !ok {
		return fmt.Errorf("%s: free %p: not allocated here", d.Name(), m.Ptr)
	}
	delete(d.live, m.Ptr)
	d.bytes -= bytes
	size := rounded(bytes)
	all := device.Slice[byte](d.through(m.Ptr), int(size))
	for i := range all {
		all[i] = 0xFF
	}
	d.kept[size] = append(d.kept[size], m.Ptr)
	return nil
}

func (d *Device) Allocated() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes + d.inside.Allocated()
}

func (d *Device) Available() int64 { return d.inside.Available() }

// Downloaded is the number of bytes that the process got so far.
func (d *Device) Downloaded() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.loads
}

func (d *Device) Upload(dst device.Pointer, src []byte) error {
	return d.inside.Upload(d.through(dst), src)
}

func (d *Device) Download(dst []byte, src device.Pointer) error {
	d.mu.Lock()
	d.loads += int64(len(dst))
	d.mu.Unlock()
	return d.inside.Download(dst, d.through(src))
}

func (d *Device) Synchronize() error { return d.inside.Synchronize() }

func (d *Device) Close() error {
	var left error
	if d.bytes != 0 {
		left = fmt.Errorf("%s: closed with %d bytes allocated", d.Name(), d.bytes)
	}
	return errors.Join(left, d.inside.Close(), hostmem.Release(d.wall), hostmem.Release(d.memory))
}

func (d *Device) Compile(r device.Request) (device.Kernel, error) {
	in := make([]device.Operand, len(r.In))
	for i, o := range r.In {
		o.Const = d.through(o.Const)
		in[i] = o
	}
	r.In = in
	k, err := d.inside.Compile(r)
	if err != nil {
		return nil, err
	}
	return &kernel{k, d}, nil
}

type kernel struct {
	device.Kernel
	device *Device
}

func (k *kernel) Run(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	inside := make([]device.Pointer, len(in))
	for i, p := range in {
		inside[i] = k.device.through(p)
	}
	return k.Kernel.Run(k.device.through(out), inside, k.device.through(workspace))
}

func (k *kernel) Unread() []int {
	if u, ok := k.Kernel.(device.Unreader); ok {
		return u.Unread()
	}
	return nil
}
