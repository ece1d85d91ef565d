package train

import (
	"errors"
	"sync"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// The gradients of a step are summed over the devices in buckets, each as soon as the backward passes of the last
// micro-steps are through with it, while they go on (Li et al. 2020, "PyTorch Distributed"). A bucket has the gradients
// of whole parameters, in the opposite order of the network's, which is about the one in which they become ready.

// bucketsOf divides parameters, given by their sizes in bytes, into buckets of that many bytes or a little more:
// indices from the last parameter to the first. 0 is one bucket.
func bucketsOf(sizes []int64, bytes int64) (buckets [][]int) {
	held := bytes // by the last bucket
	for i := len(sizes) - 1; i >= 0; i-- {
		if len(buckets) == 0 || bytes > 0 && held >= bytes {
			buckets, held = append(buckets, nil), 0
		}
		last := len(buckets) - 1
		buckets[last] = append(buckets[last], i)
		held += sizes[i]
	}
	return buckets
}

// makeBuckets makes Trainer.buckets; none for one device.
func (t *Trainer) makeBuckets() {
	if t.options.size() == 1 {
		return
	}
	var sizes []int64
	for _, a := range t.state.trained() {
		sizes = append(sizes, 4*int64(op.Size(a.shape)))
	}
	t.buckets = bucketsOf(sizes, int64(t.config.BucketMB*1e6))
}

// milestones are the buckets of the sums of gradients of a micro-step's program.
func (t *Trainer) milestones(sums gorgonia.Nodes) (list []gorgonia.Nodes) {
	for _, bucket := range t.buckets {
		var nodes gorgonia.Nodes
		for _, i := range bucket {
			nodes = append(nodes, sums[i])
		}
		list = append(list, nodes)
	}
	return list
}

// gathering is a step's sum over all devices. A nil one does nothing.
type gathering struct {
	move    func([]device.Parts) error
	buckets [][]device.Parts
	members int // devices of this process

	mu      sync.Mutex
	turn    *sync.Cond
	next    int // the bucket that is summed next
	arrived int // members that have it
	err     error
	failed  *Trainer // whose error that is
}

// gathering is nil for one device.
func (t *Trainer) gathering() *gathering {
	if t.buckets == nil {
		return nil
	}
	g := &gathering{move: t.options.Group.Sum, members: len(t.trainers())}
	if t.owners != nil {
		g.move = t.options.Group.Reduce
	}
	parts := t.parts(Gradients)
	for _, bucket := range t.buckets {
		var list []device.Parts
		for _, i := range bucket {
			list = append(list, parts[i])
		}
		g.buckets = append(g.buckets, list)
	}
	g.turn = sync.NewCond(&g.mu)
	return g
}

// reached is for vm.Program.RunPast of a member; nil if nothing is summed.
func (g *gathering) reached(t *Trainer) func(int) error {
	if g == nil {
		return nil
	}
	return func(int) error { return g.arrive(t) }
}

// arrive says that a member's device has been asked for all of the next bucket, and waits for the other members.
func (g *gathering) arrive(t *Trainer) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.summed++
	bucket := g.next
	if g.arrived++; g.arrived == g.members && g.err == nil {
		g.fail(t, g.move(g.buckets[bucket]))
		g.next, g.arrived = bucket+1, 0
		g.turn.Broadcast()
	}
	for g.next == bucket && g.err == nil {
		g.turn.Wait()
	}
	return g.err
}

func (g *gathering) fail(t *Trainer, err error) {
	if g.err == nil && err != nil {
		g.err, g.failed = err, t
	}
}

// finish brings a member through the buckets that its program has not come to, zeros if it had no micro-step at all. An
// error ends the sum for all members, and is returned for the first that has one.
func (g *gathering) finish(t *Trainer, err error) error {
	if g == nil {
		return err
	}
	if err == nil && t.pending == 0 && t.summed == 0 {
		err = t.clearGradients()
	}
	for err == nil && t.summed < len(g.buckets) {
		err = g.arrive(t)
	}
	if err == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail(t, err)
	g.turn.Broadcast()
	if g.failed != t {
		return nil
	}
	return err
}

// gather sums the gradients over all devices, if that wasn't done with the last micro-steps.
func (t *Trainer) gather() error {
	if t.summed == len(t.buckets) {
		return nil
	}
	sum := t.gathering()
	err := t.parallel(func(_ int, each *Trainer) error { return sum.finish(each, nil) })
	return errors.Join(err, t.options.Group.Join())
}

func (t *Trainer) clearGradients() error {
	var errs []error
	for _, a := range t.state.trained() {
		errs = append(errs, a.slots[Gradients].Write(make([]float32, op.Size(a.shape))))
	}
	return errors.Join(errs...)
}
