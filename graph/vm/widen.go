package vm

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// narrow reports whether v is a parameter that is stored in bfloat16, though operations want it in float32.
func (v *value) narrow() bool {
	return v.source == bound && v.kind == op.Exact && v.dtype == device.BFloat16
}

// widen casts each parameter that is stored in bfloat16 just before each step that reads it: so one of them at a time
// is in memory in float32.
func (g *graph) widen() {
	var steps []*step
	for _, s := range g.steps {
		for i, v := range s.in {
			if !v.narrow() {
				continue
			}
			c := &step{
				spec: op.Cast{From: op.Feature, To: op.Exact}, place: v.name + ": Cast", in: []*value{v},
				key: s.key, backward: s.backward, again: s.again, prelude: s.prelude,
			}
			c.key.after--
			c.out = g.newValue(c.place, v.shape, op.Exact)
			c.out.producer = c
			s.in[i] = c.out
			steps = append(steps, c)
		}
		steps = append(steps, s)
	}
	g.steps = steps
}
