//go:build gpu

package cuda

// #include "driver.h"
import "C"

import (
	"errors"
	"fmt"
	"time"

	"gorgonia.org/cu"

	"github.com/histdist/histdist/graph/device"
)

// queued is a kernel that puts its work into the device's stream.
type queued interface {
	Workspace() int64
	Algorithm() string
	Close() error
	enqueue(out device.Pointer, in []device.Pointer, workspace device.Pointer) error
}

// ordered is a kernel whose work is queued in one piece.
type ordered struct {
	device *Device
	queued
}

// Run returns when the work is queued.
func (k *ordered) Run(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	k.device.order.Lock()
	defer k.device.order.Unlock()
	return k.enqueue(out, in, workspace)
}

// Unread lists the inputs that the kernel holds a copy of.
func (k *ordered) Unread() []int {
	if u, ok := k.queued.(device.Unreader); ok {
		return u.Unread()
	}
	return nil
}

// recording is a CUDA graph.
type recording struct {
	device *Device
	exec   C.CUgraphExec
}

// Record captures the calls as a CUDA graph.
func (d *Device) Record(calls []device.Call) (device.Recording, error) {
	d.order.Lock()
	defer d.order.Unlock()
	r := &recording{device: d}
	err := d.within(func() error {
		if err := result(C.hd_capture(streamOf(d.stream))); err != nil {
			return err
		}
		for rest := calls; len(rest) > 0; {
			k, ok := rest[0].Kernel.(*ordered)
			if !ok || k.device != d {
				return errors.Join(fmt.Errorf("a kernel of another device"), d.discard())
			}
			n, err := d.together(rest)
			if n == 0 && err == nil {
				n, err = 1, k.enqueue(rest[0].Out, rest[0].In, rest[0].Workspace)
			}
			if err != nil {
				return errors.Join(err, d.discard())
			}
			rest = rest[n:]
		}
		return result(C.hd_captured(streamOf(d.stream), &r.exec))
	})
	if err != nil {
		return nil, fmt.Errorf("%s: record %d kernels: %w", d.Name(), len(calls), err)
	}
	return r, nil
}

// discard ends a capture that failed. What the driver says of it is known already.
func (d *Device) discard() error {
	C.hd_captured(streamOf(d.stream), nil)
	return nil
}

// Replay queues the kernels.
func (r *recording) Replay() error {
	d := r.device
	d.order.Lock()
	defer d.order.Unlock()
	err := d.within(func() error {
		if !d.busy.open {
			if err := d.busy.begin.Record(d.stream); err != nil {
				return err
			}
		}
		if err := result(C.hd_replay(contextOf(d.context), r.exec, streamOf(d.stream))); err != nil {
			return err
		}
		d.busy.open = true
		return d.busy.end.Record(d.stream)
	})
	if err != nil {
		return fmt.Errorf("%s: replay: %w", d.Name(), err)
	}
	return nil
}

// busy adds up the time from the first recording that was replayed behind a Synchronize to the last one's end.
type busy struct {
	begin, end cu.Event
	open       bool
	sum        time.Duration
}

func (b *busy) make() (err error) {
	if b.begin, err = cu.MakeEvent(cu.DefaultEvent); err != nil {
		return err
	}
	b.end, err = cu.MakeEvent(cu.DefaultEvent)
	return err
}

// add reads the events, which are behind.
func (b *busy) add() error {
	if !b.open {
		return nil
	}
	b.open = false
	milliseconds, err := b.begin.Elapsed(b.end)
	b.sum += time.Duration(milliseconds * float64(time.Millisecond))
	return err
}

func (b *busy) close() error {
	return errors.Join(explain(cu.DestroyEvent(&b.begin)), explain(cu.DestroyEvent(&b.end)))
}

// Busy is how long the GPU has worked on recordings, up to the last Synchronize: what it waited between them is not counted.
func (d *Device) Busy() time.Duration {
	d.order.Lock()
	defer d.order.Unlock()
	return d.busy.sum
}

// Close gives the graph back.
func (r *recording) Close() error {
	return unlessLost(r.device.within(func() error { return result(C.cuGraphExecDestroy(r.exec)) }))
}

// Copy copies within the device.
func (d *Device) Copy(dst, src device.Pointer, bytes int64) error {
	d.order.Lock()
	defer d.order.Unlock()
	return d.within(func() error { return cu.MemcpyDtoDAsync(address(dst), address(src), bytes, d.stream) })
}
