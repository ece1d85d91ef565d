package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Act is an activation function.
type Act uint8

// The activation functions.
const (
	NoAct     Act = iota
	SiLU          // x·sigmoid(x)
	GELU          // x·Φ(x), exact with erf
	QuickGELU     // x·sigmoid(1.702 x)
	ReLU          // max(x, 0)
)

// String returns the function's name.
func (a Act) String() string { return [...]string{"none", "silu", "gelu", "quick_gelu", "relu"}[a] }

// Activation applies a function to each element: x → the same shape.
type Activation struct{ Act Act }

// Apply applies the function to each element of x: x → the same shape.
func (act Act) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.apply(Activation{Act: act}, x)
}

// Name returns "Activation".
func (a Activation) Name() string { return "Activation" }

// Infer returns x's shape.
func (a Activation) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if a.Act == NoAct || a.Act > ReLU {
		return nil, errorf("unknown function %d", a.Act)
	}
	return sameShape(in, 1)
}

// sameShape checks n inputs of one shape and returns it.
func sameShape(in []tensor.Shape, n int) (tensor.Shape, error) {
	if err := arity(in, n); err != nil {
		return nil, err
	}
	for _, s := range in[1:] {
		if !equal(s, in[0]) {
			return nil, errorf("inputs %v: want one shape", in)
		}
	}
	return in[0].Clone(), nil
}

// Kinds returns features.
func (a Activation) Kinds(n int) ([]Kind, Kind) { return features(n) }

// Diff is true.
func (a Activation) Diff(n int) []bool { return all(n) }

// Grad returns the gradient of x.
func (a Activation) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(ActivationGrad(a), in[0], dy)}
}

// InPlace is x.
func (a Activation) InPlace(int) []int { return []int{0} }

// ActivationGrad is x, dy → dy·f'(x).
type ActivationGrad Activation

// Name returns "ActivationGrad".
func (a ActivationGrad) Name() string { return "ActivationGrad" }

// Infer returns x's shape.
func (a ActivationGrad) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in, 2) }

// Kinds returns features.
func (a ActivationGrad) Kinds(n int) ([]Kind, Kind) { return features(n) }

// InPlace is dy, then x.
func (a ActivationGrad) InPlace(int) []int { return []int{1, 0} }

// GEGLU is x […,2F] → […,F]: the first half times the GELU of the second (Shazeer 2020; diffusers' GEGLU).
type GEGLU struct{}

// Apply makes the node: x […,2F] → […,F].
func (g GEGLU) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(g, x) }

// Name returns "GEGLU".
func (GEGLU) Name() string { return "GEGLU" }

// Infer returns […,F].
func (GEGLU) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if len(in[0]) < 1 || lastDim(in[0])%2 != 0 {
		return nil, errorf("input %v: want […,2F]", in[0])
	}
	return withLast(in[0], lastDim(in[0])/2), nil
}

// Kinds returns features.
func (GEGLU) Kinds(n int) ([]Kind, Kind) { return features(n) }

// Diff is true.
func (GEGLU) Diff(n int) []bool { return all(n) }

// Grad returns the gradient of x.
func (GEGLU) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(GEGLUGrad{}, in[0], dy)}
}

// GEGLUGrad is x […,2F], dy […,F] → the gradient with respect to x.
type GEGLUGrad struct{}

// Name returns "GEGLUGrad".
func (GEGLUGrad) Name() string { return "GEGLUGrad" }

// Infer returns x's shape.
func (GEGLUGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	half, err := GEGLU{}.Infer(in[:1])
	if err != nil {
		return nil, err
	}
	if !equal(in[1], half) {
		return nil, errorf("gradient %v: want %v", in[1], half)
	}
	return in[0].Clone(), nil
}

// Kinds returns features.
func (GEGLUGrad) Kinds(n int) ([]Kind, Kind) { return features(n) }

// InPlace is x.
func (GEGLUGrad) InPlace(int) []int { return []int{0} }
