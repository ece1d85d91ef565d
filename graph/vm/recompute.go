package vm

import (
	"cmp"
	"slices"
)

// recompute makes the backward pass compute the inside of segments again instead of reading what the forward pass left
// (Chen et al. 2016, "Training deep nets with sublinear memory cost"). A value that a later part of the forward pass
// reads, or that is an output, is kept. The copies of a segment's steps run just before the first step that needs them.
func (g *graph) recompute() {
	kept := map[*value]bool{}
	for _, s := range g.steps {
		for _, v := range s.in {
			if p := v.producer; p != nil && !s.backward && p.segment != s.segment {
				kept[v] = true
			}
		}
	}
	for _, v := range g.outputs {
		kept[v] = true
	}
	inside := func(v *value) bool {
		return v.producer != nil && v.producer.segment != 0 && !v.producer.backward && !kept[v]
	}

	copies := map[*value]*value{}
	var again []*step
	var copied func(v *value) *value
	copied = func(v *value) *value {
		if !inside(v) {
			return v
		}
		if c, ok := copies[v]; ok {
			return c
		}
		p := v.producer
		s := &step{
			spec: p.spec, place: p.place + " (again)", key: key{copied: true, of: p.key.node, after: p.key.after},
			backward: true, again: true,
		}
		for _, in := range p.in {
			s.in = append(s.in, copied(in))
		}
		s.out = g.newValue(s.place, v.shape, v.kind)
		s.out.producer = s
		copies[v] = s.out
		again = append(again, s)
		return s.out
	}
	var steps []*step
	for _, s := range g.steps {
		if s.backward {
			for i, v := range s.in {
				s.in[i] = copied(v)
			}
			steps = append(steps, again...)
			again = again[:0]
		}
		steps = append(steps, s)
	}
	g.steps = steps
	// A copy runs with the earliest of its readers; copies read by copies come after them here.
	readers := g.readers()
	for _, s := range slices.Backward(g.steps) {
		if s.again {
			s.key.node = slices.MinFunc(readers[s.out],
				func(a, b *step) int { return cmp.Compare(a.key.node, b.key.node) }).key.node
		}
	}
}
