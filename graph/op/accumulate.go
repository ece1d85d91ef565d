package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Accumulate sums over several runs, such as the gradients of several batches: total and x of one shape, keep [1] →
// keep·total + x, written into total. With keep 0 the old total is not read, so that a NaN in it is gone.
type Accumulate struct{}

// Apply adds x to total, a leaf. keep is an input [1] of each run: 0 begins a sum, 1 continues it.
func (a Accumulate) Apply(s *Scope, total, x, keep *gorgonia.Node) *gorgonia.Node {
	return s.apply(a, total, x, keep)
}

func (Accumulate) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if Size(in[2]) != 1 {
		return nil, errorf("keep %v: want one number", in[2])
	}
	return sameShape(in[:2])
}

func (Accumulate) Kinds(n int) ([]Kind, Kind) { return exacts(n) }
func (Accumulate) ViewOffset() int            { return 0 }
func (Accumulate) Updates() []int             { return []int{0} }
