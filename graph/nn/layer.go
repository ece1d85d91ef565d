package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// Conv is torch.nn.Conv2d with a square kernel, the same padding on all sides and a bias: x [N,H,W,I] → [N,H',W',out].
// residual, which may be nil, is added to the result.
func Conv(s *op.Scope, x *gorgonia.Node, out, kernel, stride, padding int, residual *gorgonia.Node) *gorgonia.Node {
	return conv(s, x, out, kernel, residual, op.ConvConfig{Stride: stride, Pad: op.Pad(padding)})
}

func conv(s *op.Scope, x *gorgonia.Node, out, kernel int, residual *gorgonia.Node, c op.ConvConfig) *gorgonia.Node {
	w, b := s.Param("weight", kernel, kernel, channels(x), out), s.Param("bias", out)
	return op.Convolve(s, x, w, b, residual, c)
}

// channels is the size of the last axis; of nil, which follows an error, it is 1.
func channels(x *gorgonia.Node) int {
	if x == nil || x.Dims() == 0 {
		return 1
	}
	return x.Shape()[x.Dims()-1]
}

// Linear is torch.nn.Linear: x […,K] → […,out]. residual, which may be nil, is added to the result.
func Linear(s *op.Scope, x *gorgonia.Node, out int, bias bool, residual *gorgonia.Node) *gorgonia.Node {
	w := s.Param("weight", out, channels(x))
	var b *gorgonia.Node
	if bias {
		b = s.Param("bias", out)
	}
	return op.Affine(s, x, w, b, residual)
}

// GroupNorm is torch.nn.GroupNorm, with a SiLU behind it if silu: x [N,…,C] → [N,…,C].
func GroupNorm(s *op.Scope, x *gorgonia.Node, groups int, eps float64, silu bool) *gorgonia.Node {
	gamma, beta := s.Param("weight", channels(x)), s.Param("bias", channels(x))
	return op.GroupNormalize(s, x, gamma, beta, groups, eps, silu)
}

// LayerNorm is torch.nn.LayerNorm over the channels: x […,C] → […,C].
func LayerNorm(s *op.Scope, x *gorgonia.Node, eps float64) *gorgonia.Node {
	gamma, beta := s.Param("weight", channels(x)), s.Param("bias", channels(x))
	return op.LayerNormalize(s, x, gamma, beta, eps)
}
