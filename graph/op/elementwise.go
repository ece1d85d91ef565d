package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Add is a + b of one shape.
type Add struct{}

// Apply returns a + b.
func (o Add) Apply(s *Scope, a, b *gorgonia.Node) *gorgonia.Node { return s.apply(o, a, b) }

// Name returns "Add".
func (Add) Name() string { return "Add" }

// Infer returns the common shape.
func (Add) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in, 2) }

// Kinds returns exact values.
func (Add) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Diff is true for both inputs.
func (Add) Diff(n int) []bool { return all(n) }

// Grad returns dy for both inputs.
func (Add) Grad(_ *Scope, _ gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{dy, dy}
}

// InPlace is either input.
func (Add) InPlace(int) []int { return []int{0, 1} }

// Mul is a·b, element by element.
type Mul struct{}

// Apply returns a·b.
func (o Mul) Apply(s *Scope, a, b *gorgonia.Node) *gorgonia.Node { return s.apply(o, a, b) }

// Name returns "Mul".
func (Mul) Name() string { return "Mul" }

// Infer returns the common shape.
func (Mul) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in, 2) }

// Kinds returns features.
func (Mul) Kinds(n int) ([]Kind, Kind) { return features(n) }

// Diff is true for both inputs.
func (Mul) Diff(n int) []bool { return all(n) }

// Grad returns dy·b and dy·a.
func (Mul) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(Mul{}, dy, in[1]), s.apply(Mul{}, dy, in[0])}
}

// InPlace is either input.
func (Mul) InPlace(int) []int { return []int{0, 1} }

// Scale is factor·x.
type Scale struct{ Factor float64 }

// Apply returns factor·x.
func (c Scale) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(c, x) }

// Name returns "Scale".
func (c Scale) Name() string { return "Scale" }

// Infer returns x's shape.
func (c Scale) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in, 1) }

// Kinds returns features.
func (c Scale) Kinds(n int) ([]Kind, Kind) { return features(n) }

// Diff is true.
func (c Scale) Diff(n int) []bool { return all(n) }

// Grad returns factor·dy.
func (c Scale) Grad(s *Scope, _ gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(c, dy)}
}

// InPlace is x.
func (c Scale) InPlace(int) []int { return []int{0} }

// AddChannels adds a value for each sample and channel to all pixels: x [N,…,C], t [N,C] → [N,…,C]. It is how a resnet
// block takes its time embedding.
type AddChannels struct{}

// Apply returns x [N,…,C] + t [N,C], the same for all pixels.
func (a AddChannels) Apply(s *Scope, x, t *gorgonia.Node) *gorgonia.Node { return s.apply(a, x, t) }

// Name returns "AddChannels".
func (AddChannels) Name() string { return "AddChannels" }

// Infer returns x's shape.
func (AddChannels) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	x := in[0]
	if len(x) < 2 || !equal(in[1], tensor.Shape{x[0], lastDim(x)}) {
		return nil, errorf("inputs %v and %v: want [N,…,C] and [N,C]", x, in[1])
	}
	return x.Clone(), nil
}

// Kinds returns exact values.
func (AddChannels) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Diff is true for both inputs.
func (AddChannels) Diff(n int) []bool { return all(n) }

// Grad returns dy and its sum over the pixels.
func (AddChannels) Grad(s *Scope, _ gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{dy, s.apply(SumPixels{}, dy)}
}

// InPlace is x.
func (AddChannels) InPlace(int) []int { return []int{0} }

// SumPixels is x [N,…,C] → [N,C], the sum over all between.
type SumPixels struct{}

// Name returns "SumPixels".
func (SumPixels) Name() string { return "SumPixels" }

// Infer returns [N,C].
func (SumPixels) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if len(in[0]) < 2 {
		return nil, errorf("input %v: want [N,…,C]", in[0])
	}
	return tensor.Shape{in[0][0], lastDim(in[0])}, nil
}

// Kinds returns exact values.
func (SumPixels) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// AddBatch adds one value to every sample: x [N,…], p […] → [N,…]. It is how position embeddings are added.
type AddBatch struct{}

// Apply returns x [N,…] + p […], the same for all samples.
func (a AddBatch) Apply(s *Scope, x, p *gorgonia.Node) *gorgonia.Node { return s.apply(a, x, p) }

// Name returns "AddBatch".
func (AddBatch) Name() string { return "AddBatch" }

// Infer returns x's shape.
func (AddBatch) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	if len(in[0]) < 2 || !equal(in[1], in[0][1:]) {
		return nil, errorf("inputs %v and %v: want [N,…] and […]", in[0], in[1])
	}
	return in[0].Clone(), nil
}

// Kinds returns exact values.
func (AddBatch) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Diff is true for both inputs.
func (AddBatch) Diff(n int) []bool { return all(n) }

// Grad returns dy and its sum over the samples.
func (AddBatch) Grad(s *Scope, _ gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{dy, s.apply(SumBatch{}, dy)}
}

// InPlace is x.
func (AddBatch) InPlace(int) []int { return []int{0} }

// SumBatch is x [N,…] → […], the sum over the samples.
type SumBatch struct{}

// Name returns "SumBatch".
func (SumBatch) Name() string { return "SumBatch" }

// Infer returns […].
func (SumBatch) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if len(in[0]) < 2 {
		return nil, errorf("input %v: want [N,…]", in[0])
	}
	return in[0][1:].Clone(), nil
}

// Kinds returns exact values.
func (SumBatch) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Cast changes how a value is stored; the compiler puts it where an operation wants another kind than it gets.
type Cast struct{ From, To Kind }

// Name returns "Cast".
func (c Cast) Name() string { return "Cast" }

// Infer returns x's shape.
func (c Cast) Infer(in []tensor.Shape) (tensor.Shape, error) { return sameShape(in, 1) }

// Kinds returns From and To.
func (c Cast) Kinds(int) ([]Kind, Kind) { return []Kind{c.From}, c.To }
