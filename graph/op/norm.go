package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// GroupNorm is torch.nn.GroupNorm, followed by SiLU if that is set: x [N,…,C], stats [N,G,2], gamma [C], beta [C] →
// [N,…,C].
type GroupNorm struct {
	Groups int
	SiLU   bool
}

// Apply makes torch.nn.GroupNorm(Groups, C, eps), followed by SiLU if that is set: x [N,…,C], gamma and beta [C] →
// [N,…,C]. The statistics are a node of their own, which the backward pass uses again.
func (g GroupNorm) Apply(s *Scope, x, gamma, beta *gorgonia.Node, eps float64) *gorgonia.Node {
	stats := s.apply(GroupNormStats{Groups: g.Groups, Eps: eps}, x)
	return s.apply(g, x, stats, gamma, beta)
}

func (g GroupNorm) Infer(in []tensor.Shape) (tensor.Shape, error) {
	x := in[0]
	want, err := GroupNormStats{Groups: g.Groups, Eps: 1}.Infer(in[:1])
	if err != nil {
		return nil, err
	}
	if !equal(in[1], want) {
		return nil, errorf("statistics %v: want %v", in[1], want)
	}
	if c := (tensor.Shape{lastDim(x)}); !equal(in[2], c) || !equal(in[3], c) {
		return nil, errorf("input %v with weight %v and bias %v: want both %v", x, in[2], in[3], c)
	}
	return x.Clone(), nil
}

func (g GroupNorm) Kinds(n int) ([]Kind, Kind) { return normKinds(n) }

// normKinds are n exact inputs, the stream among them, and a feature, which feeds matrix products.
func normKinds(n int) ([]Kind, Kind) {
	k, _ := exacts(n)
	return k, Feature
}

func (g GroupNorm) Diff(int) []bool { return []bool{true, false, true, true} }

// Grad computes the sums over the pixels once for the gradients of x, gamma and beta.
func (g GroupNorm) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	x, stats, gamma, beta := in[0], in[1], in[2], in[3]
	sums := s.apply(GroupNormGradSums(g), x, stats, gamma, beta, dy)
	dx := s.apply(GroupNormGradInput(g), x, stats, gamma, beta, dy, sums)
	params := s.apply(SumBatch{}, sums)
	return gorgonia.Nodes{dx, nil, pickRow(s, params, 1), pickRow(s, params, 0)}
}

// pickRow views row i of x [2,C] → [C].
func pickRow(s *Scope, x *gorgonia.Node, i int) *gorgonia.Node {
	c := x.Shape()[1]
	return s.apply(Pick{Offset: i * c, Shape: tensor.Shape{c}, Store: Exact}, x)
}

func (g GroupNorm) InPlace(int) []int { return []int{0} }

// GroupNormStats is x [N,…,C] → [N,G,2], the mean and 1/sqrt(variance + Eps) of each group.
type GroupNormStats struct {
	Groups int
	Eps    float64
}

func (g GroupNormStats) Infer(in []tensor.Shape) (tensor.Shape, error) {
	x := in[0]
	if len(x) < 2 {
		return nil, errorf("input %v: want [N,…,C]", x)
	}
	if g.Groups < 1 || lastDim(x)%g.Groups != 0 {
		return nil, errorf("input %v: %d channels do not divide into %d groups", x, lastDim(x), g.Groups)
	}
	if !(g.Eps > 0) {
		return nil, errorf("eps %g: want more than 0", g.Eps)
	}
	return tensor.Shape{x[0], g.Groups, 2}, nil
}

func (g GroupNormStats) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// GroupNormGradSums is x, stats, gamma, beta, dy → [N,2,C]: with z the normalised value before the SiLU and dz its
// gradient, row 0 holds Σ dz over the pixels and row 1 Σ dz·x̂, where x̂ is x normalised without gamma and beta.
type GroupNormGradSums GroupNorm

func (g GroupNormGradSums) Infer(in []tensor.Shape) (tensor.Shape, error) {
	x, err := GroupNorm(g).Infer(in)
	if err != nil {
		return nil, err
	}
	if !equal(in[4], x) {
		return nil, errorf("gradient %v: want %v", in[4], x)
	}
	return tensor.Shape{x[0], 2, lastDim(x)}, nil
}

func (g GroupNormGradSums) Kinds(int) ([]Kind, Kind) {
	return []Kind{Exact, Exact, Exact, Exact, Feature}, Exact
}

// GroupNormGradInput is x, stats, gamma, beta, dy, sums [N,2,C] → the gradient with respect to x.
type GroupNormGradInput GroupNorm

func (g GroupNormGradInput) Infer(in []tensor.Shape) (tensor.Shape, error) {
	sums, err := GroupNormGradSums(g).Infer(in[:5])
	if err != nil {
		return nil, err
	}
	if !equal(in[5], sums) {
		return nil, errorf("sums %v: want %v", in[5], sums)
	}
	return in[0].Clone(), nil
}

func (g GroupNormGradInput) Kinds(int) ([]Kind, Kind) {
	return []Kind{Exact, Exact, Exact, Exact, Feature, Exact}, Exact
}

func (g GroupNormGradInput) InPlace(int) []int { return []int{4} }

// LayerNorm is torch.nn.LayerNorm over the channels: x […,C], gamma [C], beta [C] → […,C].
type LayerNorm struct{ Eps float64 }

// Apply normalises over the channels: x […,C], gamma and beta [C] → […,C].
func (l LayerNorm) Apply(s *Scope, x, gamma, beta *gorgonia.Node) *gorgonia.Node {
	return s.apply(l, x, gamma, beta)
}

func (l LayerNorm) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in[0]) < 1 {
		return nil, errorf("input %v: want […,C]", in[0])
	}
	if c := (tensor.Shape{lastDim(in[0])}); !equal(in[1], c) || !equal(in[2], c) {
		return nil, errorf("input %v with weight %v and bias %v: want both %v", in[0], in[1], in[2], c)
	}
	if !(l.Eps > 0) {
		return nil, errorf("eps %g: want more than 0", l.Eps)
	}
	return in[0].Clone(), nil
}

func (l LayerNorm) Kinds(n int) ([]Kind, Kind) { return normKinds(n) }

func (l LayerNorm) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	dx := s.apply(LayerNormGradInput(l), in[0], in[1], dy)
	params := s.apply(LayerNormGradParams(l), in[0], dy)
	return gorgonia.Nodes{dx, pickRow(s, params, 1), pickRow(s, params, 0)}
}

func (l LayerNorm) InPlace(int) []int { return []int{0} }

// LayerNormGradInput is x […,C], gamma [C], dy […,C] → the gradient with respect to x.
type LayerNormGradInput struct{ Eps float64 }

func (l LayerNormGradInput) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if !equal(in[0], in[2]) || !equal(in[1], tensor.Shape{lastDim(in[0])}) {
		return nil, errorf("input %v, weight %v and gradient %v: want […,C], [C] and […,C]", in[0], in[1], in[2])
	}
	return in[0].Clone(), nil
}

func (l LayerNormGradInput) Kinds(int) ([]Kind, Kind) { return []Kind{Exact, Exact, Feature}, Exact }
func (l LayerNormGradInput) InPlace(int) []int        { return []int{2} }

// LayerNormGradParams is x […,C], dy […,C] → [2,C]: the gradient of beta in row 0, of gamma in row 1.
type LayerNormGradParams struct{ Eps float64 }

func (l LayerNormGradParams) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if !equal(in[0], in[1]) {
		return nil, errorf("input %v and gradient %v: want the same shape", in[0], in[1])
	}
	return tensor.Shape{2, lastDim(in[0])}, nil
}

func (l LayerNormGradParams) Kinds(int) ([]Kind, Kind) { return []Kind{Exact, Feature}, Exact }
