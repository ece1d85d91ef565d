package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// AttentionConfig is the shape of a multi-head attention.
type AttentionConfig struct {
	Heads, HeadDim int
	Bias           bool // of the projections of queries, keys and values; the output's projection always has one
}

// Attention is diffusers' Attention: queries from x [N,Lq,C], keys and values from context [N,Lk,D] → [N,Lq,C]. residual,
// which may be nil, is added to the result.
func Attention(s *op.Scope, x, context *gorgonia.Node, c AttentionConfig, residual *gorgonia.Node) *gorgonia.Node {
	inner := c.Heads * c.HeadDim
	q := Linear(s.Sub("to_q"), x, inner, c.Bias, nil)
	k := Linear(s.Sub("to_k"), context, inner, c.Bias, nil)
	v := Linear(s.Sub("to_v"), context, inner, c.Bias, nil)
	return Linear(s.Sub("to_out.0"), op.Attend(s, q, k, v, c.Heads, false), channels(x), true, residual)
}

// ImageAttention is the attention over all pixels in the middle of the VAE: x [N,H,W,C] → [N,H,W,C], one head, x added.
func ImageAttention(s *op.Scope, x *gorgonia.Node, c ResnetConfig) *gorgonia.Node {
	if s.Err() != nil {
		return nil
	}
	shape := x.Shape()
	pixels := op.View(s, x, shape[0], shape[1]*shape[2], shape[3])
	h := GroupNorm(s.Sub("group_norm"), pixels, c.Groups, c.Eps, false)
	h = Attention(s, h, h, AttentionConfig{Heads: 1, HeadDim: shape[3], Bias: true}, pixels)
	return op.View(s, h, shape...)
}
