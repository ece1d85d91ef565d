//go:build gpu

package cuda

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func optimizer(b *builder) bool {
	n := size(b.request.Out)
	if a := allOf(b.request.Spec); a != nil && b.err == nil {
		_, b.err = b.device.function(a.name) // what the driver loads, it loads now and not within a recording
	}
	at := func(i int) pointer { return b.in(i).pointer }
	switch s := b.request.Spec.(type) {
	case op.Accumulate:
		b.flat("accumulate", n, at(0), at(1), at(2), n)
	case op.AdamW:
		b.flat("adamw", n, at(0), at(1), at(2), at(3), at(4), b.optional(5, s.Scaled).pointer, n)
	case op.MovingAverage:
		b.flat("moving_average", n, at(0), at(1), at(2), n)
	case op.ClipScale:
		b.each("clip_scale", 1, at(0), b.out().pointer, float32(s.Max))
	default:
		return false
	}
	return true
}

// all is a launch for many calls of one operation of the optimiser.
type all struct {
	name   string
	list   list
	own    []int // the inputs that each call has of its own, in the order of the list
	writes []int // those of them that are written
	shared []int // the inputs that all calls have in common
}

// allOf is how calls of an operation are done together; nil where they aren't.
func allOf(s op.Spec) *all {
	switch s := s.(type) {
	case op.Accumulate:
		return &all{"accumulate_all", list{addresses: 2, most: 120}, []int{0, 1}, []int{0}, []int{2}}
	case op.MovingAverage:
		return &all{"moving_average_all", list{addresses: 2, most: 120}, []int{0, 1}, []int{0}, []int{2}}
	case op.AdamW:
		a := &all{"adamw_all", list{addresses: 4, most: 80}, []int{0, 1, 2, 3}, []int{0, 2, 3}, []int{4}}
		if s.Scaled {
			a.shared = append(a.shared, 5)
		}
		return a
	}
	return nil
}

// updatesOfBlock is how many elements a block takes: 4 times 4 each thread, so that finding the tensor costs little.
const updatesOfBlock = 16 * threads

// together puts the calls at the beginning of a list that one launch can do into the stream, and returns how many they are; 0 is none.
// They are of one operation, share what they have to and write what no other one of them reads or writes.
func (d *Device) together(calls []device.Call) (n int, err error) {
	first := single(calls[0])
	if first == nil {
		return 0, nil
	}
	a := allOf(first.spec)
	if a == nil {
		return 0, nil
	}
	read, written := map[device.Pointer]bool{}, map[device.Pointer]bool{}
	l := a.list
	for _, c := range calls {
		k := single(c)
		if k == nil || k.spec != first.spec || l.full() || !a.joins(c, calls[0], read, written) {
			break
		}
		addresses := make([]pointer, len(a.own))
		for i, at := range a.own {
			addresses[i] = pointer{from: fixed, fixed: c.In[at]}
			read[c.In[at]] = true
		}
		for _, at := range a.writes {
			written[c.In[at]] = true
		}
		l.add(ceil(k.elements, updatesOfBlock), k.elements, addresses...)
		n++
	}
	if n < 2 {
		return 0, nil
	}
	b := &builder{device: d}
	arguments := []any{l.structure()}
	for _, at := range a.shared {
		arguments = append(arguments, pointer{from: fixed, fixed: calls[0].In[at]})
	}
	if a.name == "adamw_all" && len(a.shared) == 1 {
		arguments = append(arguments, pointer{}) // no scale
	}
	b.launch(a.name, [3]int{l.blocks, 1, 1}, threads, arguments...)
	if b.err != nil {
		return 0, b.err
	}
	return n, (&kernel{device: d, launches: b.launches}).enqueue(nil, nil, nil)
}

// joins tells whether a call can be done at the same time as those before it, of which the first is one.
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

// single is a call's kernel if it is one of this package's own.
func single(c device.Call) *kernel {
	if o, ok := c.Kernel.(*ordered); ok {
		if k, ok := o.queued.(*kernel); ok {
			return k
		}
	}
	return nil
}
