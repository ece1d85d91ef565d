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

func (a Act) String() string { return [...]string{"none", "silu", "gelu", "quick_gelu", "relu"}[a] }

// Activation applies a function to each element of x; the shape stays.
type Activation struct{ Act Act }

// Apply applies the function to each element of x; the shape stays.
func (act Act) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.apply(Activation{Act: act}, x)
}

func (a Activation) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if a.Act == NoAct || a.Act > ReLU {
		return nil, errorf("unknown function %d", a.Act)
	}
	return sameShape(in)
}

// sameShape returns the shape that all inputs must have.
func sameShape(in []tensor.Shape) (tensor.Shape, error) {
	for _, s := range in[1:] {
		if !equal(s, in[0]) {
			return nil, errorf("inputs %v: want one shape", in)
		}
	}
	return in[0].Clone(), nil
}

func (a Activation) Kinds(n int) ([]Kind, Kind) { return features(n) }

func (a Activation) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(ActivationGrad(a), in[0], dy)}
}

func (a Activation) InPlace(int) []int { return []int{0} }

// ActivationGrad is x, dy → dy·f'(x).
type ActivationGrad Activation

func (a ActivationGrad) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in) }
func (a ActivationGrad) Kinds(n int) ([]Kind, Kind)                    { return features(n) }

func (a ActivationGrad) InPlace(int) []int { return []int{1, 0} } // dy first

// GEGLU is x […,2F] → […,F]: the first half times the GELU of the second (Shazeer 2020; diffusers' GEGLU).
type GEGLU struct{}

// Apply returns the first half of x […,2F] times the GELU of the second: […,F].
func (g GEGLU) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(g, x) }

func (GEGLU) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in[0]) < 1 || lastDim(in[0])%2 != 0 {
		return nil, errorf("input %v: want […,2F]", in[0])
	}
	return withLast(in[0], lastDim(in[0])/2), nil
}

func (GEGLU) Kinds(n int) ([]Kind, Kind) { return features(n) }

func (GEGLU) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(GEGLUGrad{}, in[0], dy)}
}

// GEGLUGrad is x […,2F], dy […,F] → the gradient with respect to x.
type GEGLUGrad struct{}

func (GEGLUGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	half, err := GEGLU{}.Infer(in[:1])
	if err != nil {
		return nil, err
	}
	if !equal(in[1], half) {
		return nil, errorf("gradient %v: want %v", in[1], half)
	}
	return in[0].Clone(), nil
}

func (GEGLUGrad) Kinds(n int) ([]Kind, Kind) { return features(n) }
func (GEGLUGrad) InPlace(int) []int          { return []int{0} }
