//go:build gpu

package ops

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

func optimizer(b *builder) bool {
	n := size(b.Request.Out)
	if a := allOf(b.Request.Spec); a != nil && b.Err == nil {
		_, b.Err = b.GPU.Function(a.name) // what the driver loads, it loads now and not within a recording
	}
	at := func(i int) launch.Pointer { return b.In(i).Pointer }
	switch s := b.Request.Spec.(type) {
	case op.Accumulate:
		b.Flat("accumulate", n, at(0), at(1), at(2), n)
	case op.AdamW:
		b.Flat("adamw", n, at(0), at(1), at(2), at(3), at(4), b.Optional(5, s.Scaled).Pointer, n)
	case op.MovingAverage:
		b.Flat("moving_average", n, at(0), at(1), at(2), n)
	case op.ClipScale:
		b.Each("clip_scale", 1, at(0), b.Out().Pointer, float32(s.Max))
	default:
		return false
	}
	return true
}

// all is a launch for many calls of one operation of the optimiser.
type all struct {
	name   string
	list   kernels.ListSize
	own    []int // the inputs that each call has of its own, in the order of the list
	writes []int // those of them that are written
	shared []int // the inputs that all calls have in common
}

// allOf is how calls of an operation are done together; nil where they aren't.
func allOf(s op.Spec) *all {
	switch s := s.(type) {
	case op.Accumulate:
		return &all{"accumulate_all", kernels.Accumulated, []int{0, 1}, []int{0}, []int{2}}
	case op.MovingAverage:
		return &all{"moving_average_all", kernels.Accumulated, []int{0, 1}, []int{0}, []int{2}}
	case op.AdamW:
		a := &all{"adamw_all", kernels.Updated, []int{0, 1, 2, 3}, []int{0, 2, 3}, []int{4}}
		if s.Scaled {
			a.shared = append(a.shared, 5)
		}
		return a
	}
	return nil
}

// updatesOfBlock is how many elements a block takes: 4 times 4 each thread, so that finding the tensor costs little.
const updatesOfBlock = 16 * kernels.Threads

// together queues the calls at the beginning of a list that one launch can do, and returns how many they are; 0 is
// none. They are of one operation, share what they have to, and write what no other one of them reads or writes.
func (g *GPU) together(calls []device.Call) (n int, err error) {
	first := single(calls[0])
	if first == nil {
		return 0, nil
	}
	a := allOf(first.Spec())
	if a == nil {
		return 0, nil
	}
	read, written := map[device.Pointer]bool{}, map[device.Pointer]bool{}
	l := launch.NewList(a.list)
	for _, c := range calls {
		k := single(c)
		if k == nil || k.Spec() != first.Spec() || l.Full() || !a.joins(c, calls[0], read, written) {
			break
		}
		addresses := make([]launch.Pointer, len(a.own))
		for i, at := range a.own {
			addresses[i] = launch.Fixed(c.In[at])
			read[c.In[at]] = true
		}
		for _, at := range a.writes {
			written[c.In[at]] = true
		}
		l.Add(ceil(k.Elements(), updatesOfBlock), k.Elements(), addresses...)
		n++
	}
	if n < 2 {
		return 0, nil
	}
	b := g.builder(device.Request{})
	arguments := []any{l.Structure()}
	for _, at := range a.shared {
		arguments = append(arguments, launch.Fixed(calls[0].In[at]))
	}
	if a.name == "adamw_all" && len(a.shared) == 1 {
		arguments = append(arguments, launch.Pointer{}) // no scale
	}
	b.Launch(a.name, [3]int{l.Blocks, 1, 1}, kernels.Threads, arguments...)
	if b.Err != nil {
		return 0, b.Err
	}
	return n, b.kernel().Enqueue(&launch.Addresses{})
}

// joins reports whether a call can be done at the same time as those before it, of which the first is one.
func (a *all) joins(c, first device.Call, read, written map[device.Pointer]bool) bool {
	for _, at := range a.shared {
		if c.In[at] != first.In[at] || written[c.In[at]] {
			return false
		}
	}
	for _, at := range a.own {
		if written[c.In[at]] {
			return false
		}
	}
	for _, at := range a.writes {
		if read[c.In[at]] {
			return false
		}
		for _, other := range a.shared {
			if c.In[at] == first.In[other] {
				return false
			}
		}
	}
	return true
}

// single is a call's kernel if it consists of launches only.
func single(c device.Call) *launch.Kernel {
	if o, ok := c.Kernel.(*ordered); ok {
		if k, ok := o.queued.(*launch.Kernel); ok {
			return k
		}
	}
	return nil
}
