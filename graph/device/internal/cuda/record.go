//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"time"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
)

// recording is a CUDA graph.
type recording struct {
	device *Device
	graph  driver.Graph
}

// Record captures the calls as a CUDA graph.
func (d *Device) Record(calls []device.Call) (device.Recording, error) {
	d.ops.Order.Lock()
	defer d.ops.Order.Unlock()
	r := &recording{device: d}
	err := d.stream.Within(func() (err error) {
		if err := d.stream.BeginCapture(); err != nil {
			return err
		}
		if err := d.ops.Enqueue(calls); err != nil {
			d.stream.DropCapture()
			return err
		}
		r.graph, err = d.stream.EndCapture()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: record %d kernels: %w", d.Name(), len(calls), err)
	}
	return r, nil
}

func (r *recording) Replay() error {
	d := r.device
	d.ops.Order.Lock()
	defer d.ops.Order.Unlock()
	err := d.stream.Within(func() error {
		if !d.busy.open {
			if err := d.busy.begin.Record(d.stream); err != nil {
				return err
			}
		}
		if err := d.stream.Replay(r.graph); err != nil {
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

func (r *recording) Close() error {
	return driver.IgnoreIfLost(r.device.stream.Within(r.graph.Destroy))
}

// busy adds up the time from the first recording that is replayed after a Synchronize to the last one's end.
type busy struct {
	begin, end driver.Event
	open       bool
	sum        time.Duration
}

func (b *busy) make() (err error) {
	if b.begin, err = driver.NewEvent(true); err != nil {
		return err
	}
	b.end, err = driver.NewEvent(true)
	return err
}

// add reads the events, which have passed.
func (b *busy) add() error {
	if !b.open {
		return nil
	}
	b.open = false
	took, err := b.begin.Until(b.end)
	b.sum += took
	return err
}

func (b *busy) close() error {
	return errors.Join(b.begin.Destroy(), b.end.Destroy())
}

// Busy is how long the GPU has worked on recordings, up to the last Synchronize: what it waited between them is not
// counted.
func (d *Device) Busy() time.Duration {
	d.ops.Order.Lock()
	defer d.ops.Order.Unlock()
	return d.busy.sum
}
