package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Softmax is taken over the last axis: x […,C] → […,C].
type Softmax struct{}

// Apply makes the node: x […,C] → […,C].
func (m Softmax) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(m, x) }

// Name returns "Softmax".
func (Softmax) Name() string { return "Softmax" }

// Infer returns x's shape.
func (Softmax) Infer(in []tensor.Shape) (tensor.Shape, error) {
	out, err := sameShape(in, 1)
	if err == nil && len(out) < 1 {
		return nil, errorf("input %v: want […,C]", in[0])
	}
	return out, err
}

// Kinds returns features.
func (Softmax) Kinds(n int) ([]Kind, Kind) { return features(n) }

// Diff is true.
func (Softmax) Diff(n int) []bool { return all(n) }

// Grad returns the gradient of x.
func (Softmax) Grad(s *Scope, _ gorgonia.Nodes, out, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(SoftmaxGrad{}, out, dy)}
}

// InPlace is x.
func (Softmax) InPlace(int) []int { return []int{0} }

// SoftmaxGrad is y, dy → y·(dy − Σ y·dy), y being the softmax.
type SoftmaxGrad struct{}

// Name returns "SoftmaxGrad".
func (SoftmaxGrad) Name() string { return "SoftmaxGrad" }

// Infer returns y's shape.
func (SoftmaxGrad) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in, 2) }

// Kinds returns features.
func (SoftmaxGrad) Kinds(n int) ([]Kind, Kind) { return features(n) }

// InPlace is dy.
func (SoftmaxGrad) InPlace(int) []int { return []int{1} }
