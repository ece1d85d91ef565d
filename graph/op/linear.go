package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Linear is x […,K], weight [O,K], bias [O] if Bias, residual […,O] if Residual → […,O].
type Linear struct {
	Bias, Residual bool
	Act            Act  // after bias and residual; set by the compiler where it fuses a following Activation
	Store          Kind // of the output: Exact with a residual, else Feature, unless the compiler fuses what follows
}

// Apply makes torch.nn.Linear: x […,K], weight [O,K] → […,O]. bias [O] and residual […,O], which is added to the
// result, may be nil.
func (l Linear) Apply(s *Scope, x, weight, bias, residual *gorgonia.Node) *gorgonia.Node {
	l.Bias, l.Residual = bias != nil, residual != nil
	if l.Residual {
		l.Store = Exact
	}
	return s.apply(l, optional(gorgonia.Nodes{x, weight}, bias, residual)...)
}

func (l Linear) Infer(in []tensor.Shape) (tensor.Shape, error) {
	x, w := in[0], in[1]
	if len(x) < 1 || len(w) != 2 {
		return nil, errorf("input %v and weight %v: want […,K] and [O,K]", x, w)
	}
	if lastDim(x) != w[1] {
		return nil, errorf("input %v does not match weight %v", x, w)
	}
	if l.Bias && !equal(in[2], tensor.Shape{w[0]}) {
		return nil, errorf("bias %v: want [%d]", in[2], w[0])
	}
	return withResidualOf(withLast(x, w[0]), in, l.Residual)
}

// withLast is the shape with another number of channels.
func withLast(s tensor.Shape, n int) tensor.Shape {
	out := s.Clone()
	out[len(out)-1] = n
	return out
}

func (l Linear) Kinds(n int) ([]Kind, Kind) { return productKinds(n, Feature), l.Store }

func (l Linear) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	if l.Act != NoAct {
		return gorgonia.Nodes{s.fail("%s: a fused activation has no gradient", Name(l))}
	}
	grads := gorgonia.Nodes{s.apply(LinearDataGrad{}, dy, in[1]), s.apply(LinearWeightGrad{}, in[0], dy)}
	if l.Bias {
		grads = append(grads, s.apply(SumRows{}, dy))
	}
	if l.Residual {
		grads = append(grads, dy)
	}
	return grads
}

func (l Linear) InPlace(n int) []int { return residualInPlace(n, l.Residual) }

func (l Linear) FLOPs(in []tensor.Shape, out tensor.Shape) int64 {
	return 2 * int64(Size(out)) * int64(in[1][1])
}

// LinearDataGrad is the gradient of Linear with respect to x: dy […,O], weight [O,K], [residual […,K], added to the
// result] → […,K].
type LinearDataGrad struct {
	Residual bool // set by the compiler where it fuses a sum of gradients
	Store    Kind // of the output: Feature, or Exact where the compiler fuses a sum of gradients or a Cast
}

func (l LinearDataGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in[0]) < 1 || len(in[1]) != 2 || lastDim(in[0]) != in[1][0] {
		return nil, errorf("gradient %v and weight %v: want […,O] and [O,K]", in[0], in[1])
	}
	return withResidualOf(withLast(in[0], in[1][1]), in, l.Residual)
}

// Grad is for Rows.
func (l LinearDataGrad) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	grads := gorgonia.Nodes{s.apply(Linear{}, dy, in[1]), s.apply(LinearWeightGrad{}, dy, in[0])}
	if l.Residual {
		grads = append(grads, dy)
	}
	return grads
}

func (l LinearDataGrad) Kinds(n int) ([]Kind, Kind) { return productKinds(n, Feature), l.Store }
func (l LinearDataGrad) InPlace(n int) []int        { return residualInPlace(n, l.Residual) }

func (l LinearDataGrad) FLOPs(in []tensor.Shape, out tensor.Shape) int64 {
	return 2 * int64(Size(out)) * int64(in[1][0])
}

// LinearWeightGrad is the gradient of Linear with respect to its weight: x […,K], dy […,O] → [O,K].
type LinearWeightGrad struct{}

func (LinearWeightGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in[0]) < 1 || len(in[1]) < 1 || Size(in[0])/lastDim(in[0]) != Size(in[1])/lastDim(in[1]) {
		return nil, errorf("input %v and gradient %v: want […,K] and […,O] with equally many rows", in[0], in[1])
	}
	return tensor.Shape{lastDim(in[1]), lastDim(in[0])}, nil
}

func (LinearWeightGrad) Kinds(n int) ([]Kind, Kind) { return make([]Kind, n), Exact }

func (LinearWeightGrad) FLOPs(in []tensor.Shape, _ tensor.Shape) int64 {
	return 2 * int64(Size(in[0])) * int64(lastDim(in[1]))
}
