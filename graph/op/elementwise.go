package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Add is a + b of one shape.
type Add struct{}

// Apply returns a + b.
func (o Add) Apply(s *Scope, a, b *gorgonia.Node) *gorgonia.Node { return s.apply(o, a, b) }

func (Add) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in) }
func (Add) Kinds(n int) ([]Kind, Kind)                    { return exacts(n) }

func (Add) Grad(_ *Scope, _ gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{dy, dy}
}

func (Add) InPlace(int) []int { return []int{0, 1} }

// Mul is a·b, element by element.
type Mul struct{}

// Apply returns a·b.
func (o Mul) Apply(s *Scope, a, b *gorgonia.Node) *gorgonia.Node { return s.apply(o, a, b) }

func (Mul) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in) }
func (Mul) Kinds(n int) ([]Kind, Kind)                    { return features(n) }

func (Mul) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(Mul{}, dy, in[1]), s.apply(Mul{}, dy, in[0])}
}

func (Mul) InPlace(int) []int { return []int{0, 1} }

// Scale is factor·x.
type Scale struct{ Factor float64 }

// Apply returns factor·x.
func (c Scale) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(c, x) }

func (c Scale) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in) }
func (c Scale) Kinds(n int) ([]Kind, Kind)                    { return features(n) }

func (c Scale) Grad(s *Scope, _ gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(c, dy)}
}

func (c Scale) InPlace(int) []int { return []int{0} }

// AddChannels adds t to every pixel, as a resnet block adds its time embedding: x [N,…,C], t [N,C] → [N,…,C].
type AddChannels struct{}

// Apply adds t [N,C] to every pixel of x [N,…,C].
func (a AddChannels) Apply(s *Scope, x, t *gorgonia.Node) *gorgonia.Node { return s.apply(a, x, t) }

func (AddChannels) Infer(in []tensor.Shape) (tensor.Shape, error) {
	x := in[0]
	if len(x) < 2 || !equal(in[1], tensor.Shape{x[0], lastDim(x)}) {
		return nil, errorf("inputs %v and %v: want [N,…,C] and [N,C]", x, in[1])
	}
	return x.Clone(), nil
}

func (AddChannels) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

func (AddChannels) Grad(s *Scope, _ gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{dy, s.apply(SumPixels{}, dy)}
}

func (AddChannels) InPlace(int) []int { return []int{0} }

// SumPixels is x [N,…,C] → [N,C], the sum over the axes between.
type SumPixels struct{}

func (SumPixels) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in[0]) < 2 {
		return nil, errorf("input %v: want [N,…,C]", in[0])
	}
	return tensor.Shape{in[0][0], lastDim(in[0])}, nil
}

func (SumPixels) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// AddBatch adds p to every sample, such as position embeddings: x [N,…], p […] → [N,…].
type AddBatch struct{}

// Apply adds p […] to every sample of x [N,…].
func (a AddBatch) Apply(s *Scope, x, p *gorgonia.Node) *gorgonia.Node { return s.apply(a, x, p) }

func (AddBatch) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in[0]) < 2 || !equal(in[1], in[0][1:]) {
		return nil, errorf("inputs %v and %v: want [N,…] and […]", in[0], in[1])
	}
	return in[0].Clone(), nil
}

func (AddBatch) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

func (AddBatch) Grad(s *Scope, _ gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{dy, s.apply(SumBatch{}, dy)}
}

func (AddBatch) InPlace(int) []int { return []int{0} }

// SumBatch is x [N,…] → […], the sum over the samples.
type SumBatch struct{}

func (SumBatch) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in[0]) < 2 {
		return nil, errorf("input %v: want [N,…]", in[0])
	}
	return in[0][1:].Clone(), nil
}

func (SumBatch) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Cast changes how a value is stored. The compiler inserts it where an operation needs another kind than it gets.
type Cast struct{ From, To Kind }

func (c Cast) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in) }
func (c Cast) Kinds(int) ([]Kind, Kind)                      { return []Kind{c.From}, c.To }
