package vm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/histdist/histdist/graph/device"
)

// recorder keeps a program's steps, except those of preludes, as one recording of the device, with addresses that must
// not change. Those of computed values and parameters never do, fed values are copied to the device, and what preludes
// keep is copied to one place.
type recorder struct {
	parts []device.Recording // one after the other; nil for those without a call
	fed   []device.Pointer   // the addresses that it was made for
}

// replay does a run at once, unless there is more to do than the steps themselves. The first run goes step by step, so
// that kernels get ready.
func (p *Program) replay(ctx context.Context, r *run, reached func(int) error) (done bool, err error) {
	d, ok := p.device.(device.Recorder)
	if !ok || p.runs == 0 || p.options.CheckFinite || p.options.Profile {
		return false, nil
	}
	for _, pre := range p.preludes {
		if !pre.ready {
			return false, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("stopped before the first step: %w", err)
	}
	var addresses []device.Pointer
	for _, in := range p.inputs {
		addresses = append(addresses, r.frame[in.at.space])
	}
	record := &p.record
	if reached != nil {
		record = &p.recordPast
	}
	if record.parts != nil && !slices.Equal(record.fed, addresses) {
		if err := record.forget(); err != nil {
			return false, err
		}
	}
	if record.parts == nil {
		if err := record.make(d, p.parts(reached != nil), r); err != nil {
			return false, err
		}
		record.fed = addresses
	}
	for i, part := range record.parts {
		if i > 0 {
			if err := reached(i - 1); err != nil {
				return true, err
			}
		}
		if part == nil {
			continue
		}
		if err := part.Replay(); err != nil {
			return true, err
		}
	}
	return true, nil
}

// make records the steps, which are in parts.
func (c *recorder) make(d device.Recorder, parts [][]*call, r *run) error {
	for _, calls := range parts {
		var located []device.Call
		for _, each := range calls {
			if each.prelude == nil {
				l := r.located(each)
				l.In = slices.Clone(l.In)
				located = append(located, l)
			}
		}
		var part device.Recording
		var err error
		if len(located) > 0 {
			part, err = d.Record(located)
		}
		if err != nil {
			return errors.Join(err, c.forget())
		}
		c.parts = append(c.parts, part)
	}
	return nil
}

func (c *recorder) forget() error {
	var errs []error
	for _, part := range c.parts {
		if part != nil {
			errs = append(errs, part.Close())
		}
	}
	c.parts = nil
	return errors.Join(errs...)
}
