package train

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// Several devices share the micro-steps of an optimisation step: each has all parameters, moments and gradients, and
// takes every n-th micro-step. Before the update the gradients are summed over the devices, to the same bytes on each,
// so that all make the same update. A step learns from the same examples on any number of devices; only sums are
// rounded in another order.

// devices are the trainer's devices, the first first.
func (o Options) devices() []device.Device { return append([]device.Device{o.Device}, o.Peers...) }

// addPeers makes a trainer for each further device.
func (t *Trainer) addPeers(c Config, o Options) error {
	if len(o.Peers) == 0 {
		return nil
	}
	if o.Group == nil {
		return errors.New("several devices: no group of them: set Options.Group")
	}
	if n := len(o.devices()); c.Accumulate < n {
		return fmt.Errorf("several devices: accumulate is %d: want at least one micro-step for each of %d devices",
			c.Accumulate, n)
	}
	c.EMA = false // the first device keeps it
	for _, d := range o.Peers {
		peer := o
		peer.Device, peer.Peers, peer.Group = d, nil, nil
		p, err := New(c, peer)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name(), err)
		}
		t.peers = append(t.peers, p)
	}
	return nil
}

// trainers are the trainers of all devices, this one first.
func (t *Trainer) trainers() []*Trainer { return append([]*Trainer{t}, t.peers...) }

// parallel calls f for every device's trainer at the same time.
func (t *Trainer) parallel(f func(i int, t *Trainer) error) error {
	all := t.trainers()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, each := range all[1:] {
		wg.Go(func() { errs[i+1] = f(i+1, each) })
	}
	errs[0] = f(0, t)
	wg.Wait()
	return errors.Join(errs...)
}

// accumulateAll is accumulate for some micro-steps, one for each device at most.
func (t *Trainer) accumulateAll(ctx context.Context, micro []drawn) ([][]float64, error) {
	values := make([][]float64, len(micro))
	return values, t.parallel(func(i int, each *Trainer) (err error) {
		if i < len(micro) {
			values[i], err = each.accumulate(ctx, micro[i].example, micro[i].draws)
		}
		return err
	})
}

// gather sums the gradients over the devices.
func (t *Trainer) gather() error {
	if len(t.peers) == 0 {
		return nil
	}
	tensors := make([]device.Parts, len(t.state.arrays))
	for _, each := range t.trainers() {
		for i, a := range each.state.arrays {
			g := a.slots[Gradients]
			tensors[i].N = op.Size(a.shape)
			tensors[i].At = append(tensors[i].At, g.Ptr())
			if each.pending > 0 {
				continue
			}
			if err := g.Write(make([]float32, op.Size(a.shape))); err != nil { // it had no micro-step: an epoch's last
				return err
			}
		}
	}
	return t.options.Group.Sum(tensors)
}

// micros is the number of micro-steps since the last update, on all devices.
func (t *Trainer) micros() (n int) {
	for _, each := range t.trainers() {
		n += each.pending
	}
	return n
}

// operations is the number of all micro-steps' floating-point operations so far.
func (t *Trainer) operations() (n int64) {
	for _, each := range t.trainers() {
		n += each.flop
	}
	return n
}
