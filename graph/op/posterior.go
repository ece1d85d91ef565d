package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Bounds of the logarithm of a variance, as in diffusers' DiagonalGaussianDistribution. Values are clamped to them
// before any use; beyond them the gradient is 0.
const (
	MinLogVariance = -30
	MaxLogVariance = 20
)

// PosteriorSample is moments [N,…,2C], noise [N,…,C] → [N,…,C], mean + exp(logvar/2)·noise. The first half of the
// moments' channels are the means, the second the logarithms of the variances.
type PosteriorSample struct{}

// Apply is diffusers' DiagonalGaussianDistribution.sample: moments [N,h,w,2C] of an autoencoder's encoder, standard
// normal noise [N,h,w,C] → [N,h,w,C]. The gradient flows to the moments (Kingma and Welling 2014, section 2.4).
func (p PosteriorSample) Apply(s *Scope, moments, noise *gorgonia.Node) *gorgonia.Node {
	return s.apply(p, moments, noise)
}

func (PosteriorSample) Infer(in []tensor.Shape) (tensor.Shape, error) {
	half, err := halfOf(in[0])
	if err != nil {
		return nil, err
	}
	if !equal(in[1], half) {
		return nil, errorf("noise %v of moments %v: want %v", in[1], in[0], half)
	}
	return half, nil
}

// halfOf returns [N,…,C] for moments [N,…,2C].
func halfOf(moments tensor.Shape) (tensor.Shape, error) {
	if len(moments) < 2 || lastDim(moments)%2 != 0 {
		return nil, errorf("moments %v: want [N,…,2C]", moments)
	}
	return withLast(moments, lastDim(moments)/2), nil
}

func (PosteriorSample) Kinds(n int) ([]Kind, Kind) { return features(n) }
func (PosteriorSample) Diff(int) []bool            { return []bool{true, false} }

func (PosteriorSample) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(PosteriorSampleGrad{}, in[0], in[1], dy), nil}
}

func (PosteriorSample) InPlace(int) []int { return []int{1} }

// PosteriorSampleGrad is moments [N,…,2C], noise [N,…,C], dy [N,…,C] → the gradient with respect to the moments: dy,
// then dy·noise·exp(logvar/2)/2.
type PosteriorSampleGrad struct{}

func (PosteriorSampleGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	y, err := PosteriorSample{}.Infer(in[:2])
	if err != nil {
		return nil, err
	}
	if !equal(in[2], y) {
		return nil, errorf("gradient %v: want %v", in[2], y)
	}
	return in[0].Clone(), nil
}

func (PosteriorSampleGrad) Kinds(n int) ([]Kind, Kind) { return features(n) }
func (PosteriorSampleGrad) InPlace(int) []int          { return []int{0} }

// KLDivergence is moments [N,…,2C] → scalar, Σ (mean² + exp(logvar) − 1 − logvar)/2 over all elements, divided by N.
type KLDivergence struct{}

// Apply is the mean over the images of diffusers' DiagonalGaussianDistribution.kl, the Kullback-Leibler divergence from
// the standard normal distribution: moments [N,h,w,2C] → scalar.
func (k KLDivergence) Apply(s *Scope, moments *gorgonia.Node) *gorgonia.Node {
	return s.apply(k, moments)
}

func (KLDivergence) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if _, err := halfOf(in[0]); err != nil {
		return nil, err
	}
	return tensor.ScalarShape(), nil
}

func (KLDivergence) Kinds(n int) ([]Kind, Kind) { return make([]Kind, n), Exact }

func (KLDivergence) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(KLDivergenceGrad{}, in[0], dy)}
}

// KLDivergenceGrad is moments [N,…,2C], dloss scalar → the gradient with respect to the moments: dloss/N times the
// mean, then (exp(logvar) − 1)/2.
type KLDivergenceGrad struct{}

func (KLDivergenceGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if _, err := halfOf(in[0]); err != nil {
		return nil, err
	}
	if Size(in[1]) != 1 {
		return nil, errorf("gradient %v of the divergence: want a scalar", in[1])
	}
	return in[0].Clone(), nil
}

func (KLDivergenceGrad) Kinds(int) ([]Kind, Kind) { return []Kind{Feature, Exact}, Feature }
func (KLDivergenceGrad) InPlace(int) []int        { return []int{0} }
