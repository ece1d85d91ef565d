package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Accumulate adds into memory that outlives the run, such as the gradients of several batches: total, x of one shape, keep [1] →
// total, keep·total + x, written into total. Where keep is 0 the old total is not read: a NaN in it is gone.
type Accumulate struct{}

// Apply makes the sum of total, a leaf, and x in total. keep is an input [1] that each run is fed with: 0 begins a sum, 1 goes
// on with it.
func (a Accumulate) Apply(s *Scope, total, x, keep *gorgonia.Node) *gorgonia.Node {
	return s.apply(a, total, x, keep)
}

// Name returns "Accumulate".
func (Accumulate) Name() string { return "Accumulate" }

// Infer returns total's shape.
func (Accumulate) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 3); err != nil {
		return nil, err
	}
	if Size(in[2]) != 1 {
		return nil, errorf("keep %v: want one number", in[2])
	}
	return sameShape(in[:2], 2)
}

// Kinds returns exact values.
func (Accumulate) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// ViewOffset is 0: the output is total.
func (Accumulate) ViewOffset() int { return 0 }

// Updates lists total.
func (Accumulate) Updates() []int { return []int{0} }
