package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/histdist/histdist/graph/device"
)

// Several devices share the micro-steps of an optimisation step, in one process or in several: each has all parameters,
// moments and gradients, and device i of n takes the micro-steps i, i+n, … Before the update the gradients are summed
// over the devices, to the same bytes on each, so that all make the same update. A step learns from the same examples
// on any number of devices; only sums are rounded in another order.
//
// Whatever decides how a run goes on must be the same in all processes: the losses of all micro-steps, and whether one
// of the processes was told to stop. These few numbers are summed likewise: see outcome.

// devices are the trainer's devices, the first first.
func (o Options) devices() []device.Device { return append([]device.Device{o.Device}, o.Peers...) }

// size is the number of devices that share a step, in all processes; first is the number of this process's first.
func (o Options) size() int {
	if o.Group == nil {
		return 1
	}
	return o.Group.Size()
}

func (o Options) first() int {
	if o.Group == nil {
		return 0
	}
	return o.Group.Rank()
}

// number is that of Device in the group.
func (o Options) number() int { return o.first() + o.peer }

// addPeers makes a trainer for each further device of this process.
func (t *Trainer) addPeers(c Config, o Options) error {
	n, size := len(o.devices()), o.size()
	switch {
	case o.peer > 0:
		return nil
	case o.Group == nil && n > 1:
		return errors.New("several devices: no group of them: set Options.Group")
	case o.first()+n > size:
		return fmt.Errorf("several devices: %d from number %d on in a group of %d", n, o.first(), size)
	case t.shared() && c.ShardOptimizer && c.ContinueUnsaved:
		return errors.New("continue-unsaved is true: processes that share the moments (shard-optimizer) write checkpoints " +
			"together: want false")
	case c.Accumulate < size:
		return fmt.Errorf("several devices: accumulate is %d: want at least one micro-step for each of %d devices",
			c.Accumulate, size)
	}
	for i, d := range o.Peers {
		peer := o
		peer.Device, peer.Peers, peer.peer = d, nil, i+1
		p, err := New(c, peer)
		if err != nil {
			return fmt.Errorf("%s: %w", d.Name(), err)
		}
		t.peers = append(t.peers, p)
	}
	if t.shared() {
		for _, each := range t.trainers() {
			var err error
			if each.numbers, err = device.NewValue(each.options.Device, len(t.newOutcome().numbers)); err != nil {
				return err
			}
		}
	}
	return nil
}

// trainers are the trainers of this process's devices, this one first.
func (t *Trainer) trainers() []*Trainer { return append([]*Trainer{t}, t.peers...) }

// shared reports whether other processes have devices, too.
func (t *Trainer) shared() bool { return t.options.size() > 1+len(t.peers) && t.options.peer == 0 }

// leads reports whether this process has the first device: it alone keeps a moving average, validates and writes.
func (t *Trainer) leads() bool { return t.options.first() == 0 }

// averages reports whether the moving average is kept on this trainer's device.
func (t *Trainer) averages() bool { return t.config.EMA && t.options.number() == 0 }

// parallel calls f for the trainer of each of this process's devices at the same time.
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

// outcome is what came of a step's micro-steps on all devices.
type outcome struct {
	numbers []float32     // losses of all micro-steps, seconds of each device, operations, whether to stop
	reasons map[int]error // why a micro-step of this process has no loss
	size    int           // devices
}

// mostValues is the largest number of values of a loss graph.
const mostValues = 4

func (t *Trainer) newOutcome() *outcome {
	size := t.options.size()
	return &outcome{make([]float32, t.config.Accumulate*mostValues+size+2), map[int]error{}, size}
}

// losses are the values of a micro-step's loss graph.
func (o *outcome) losses(micro int) []float32 { return o.numbers[micro*mostValues:][:mostValues] }

// seconds is for how long each device worked.
func (o *outcome) seconds() []float32 { return o.rest()[:o.size] }

// waited adds the time since begin, in which this process's devices had nothing to do.
func (o *outcome) waited(begin time.Time, t *Trainer) {
	first := t.options.first()
	for i := range t.trainers() {
		o.seconds()[first+i] += float32(time.Since(begin).Seconds())
	}
}

// teraOperations is a pointer to the number of floating-point operations, in 10¹²; stop to more than 0 to end the run.
func (o *outcome) teraOperations() *float32 { return &o.rest()[o.size] }
func (o *outcome) stop() *float32           { return &o.rest()[o.size+1] }
func (o *outcome) rest() []float32          { return o.numbers[len(o.numbers)-o.size-2:] }

// accumulateAll is accumulate for those of some micro-steps, one for each device at most, that are for devices of this
// process. The first of them is micro-step number from of its optimisation step. With the last ones the gradients are
// summed over all devices.
func (t *Trainer) accumulateAll(ctx context.Context, micro []drawn, o *outcome, from int, last bool) error {
	first := t.options.first()
	var sum *gathering
	if last {
		sum = t.gathering()
	}
	var lock sync.Mutex
	err := t.parallel(func(i int, each *Trainer) (err error) {
		defer func() { err = sum.finish(each, err) }()
		i += first
		if i >= len(micro) {
			return nil
		}
		begin, flop := time.Now(), each.flop
		values, err := each.accumulate(ctx, micro[i].example, micro[i].draws, sum.reached(each))
		lock.Lock()
		defer lock.Unlock()
		if errors.Is(err, ErrNotFinite) { // a target
			o.reasons[from+i] = err
			values, err = []float32{float32(math.NaN())}, nil
		}
		copy(o.losses(from+i), values)
		o.seconds()[i] += float32(time.Since(begin).Seconds())
		*o.teraOperations() += float32(float64(each.flop-flop) / 1e12)
		return err
	})
	if err != nil || sum == nil {
		return err
	}
	return t.options.Group.Join()
}

// exchange adds up the outcomes of all processes.
func (t *Trainer) exchange(o *outcome) error {
	if !t.shared() {
		return nil
	}
	sum := device.Parts{N: len(o.numbers)}
	numbers := o.numbers
	for _, each := range t.trainers() {
		if err := each.numbers.Write(numbers); err != nil {
			return err
		}
		sum.At = append(sum.At, each.numbers.Ptr())
		numbers = make([]float32, len(numbers)) // they count once
	}
	if err := errors.Join(t.options.Group.Sum([]device.Parts{sum}), t.options.Group.Join()); err != nil {
		return err
	}
	return t.numbers.Read(o.numbers)
}

// micros is the number of micro-steps since the last update, on this process's devices.
func (t *Trainer) micros() (n int) {
	for _, each := range t.trainers() {
		n += each.pending
	}
	return n
}
