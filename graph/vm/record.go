package vm

import (
	"context"
	"fmt"
	"slices"

	"github.com/histdist/histdist/graph/device"
)

// recorder keeps a program's steps, except those of preludes, as one recording of the device, with addresses that must
// not change. Those of computed values and parameters never do, fed values are copied to the device, and what preludes
// keep is copied to one place.
type recorder struct {
	recording device.Recording
	fed       []device.Pointer // the addresses that it was made for
}

// replay does a run at once, unless there is more to do than the steps themselves. The first run goes step by step, so
// that kernels get ready.
func (p *Program) replay(ctx context.Context, r *run) (done bool, err error) {
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
	if old := &p.record; old.recording != nil && !slices.Equal(old.fed, addresses) {
		if err := old.forget(); err != nil {
			return false, err
		}
	}
	if p.record.recording == nil {
		var calls []device.Call
		for _, c := range p.calls {
			if c.prelude == nil {
				l := r.located(c)
				l.In = slices.Clone(l.In)
				calls = append(calls, l)
			}
		}
		if p.record.recording, err = d.Record(calls); err != nil {
			return false, err
		}
		p.record.fed = addresses
	}
	return true, p.record.recording.Replay()
}

func (r *recorder) forget() error {
	if r.recording == nil {
		return nil
	}
	err := r.recording.Close()
	r.recording = nil
	return err
}
