package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// AttentionConfig is the shape of a multi-head attention.
type AttentionConfig struct {
	Heads, HeadDim int
	Bias           bool           // of the projections of queries, keys and values; the output's projection always has one
	Residual       *gorgonia.Node // added to the result; nil for none
}

// Attention is diffusers' Attention: queries from x [N,Lq,C], keys and values from context [N,Lk,D] → [N,Lq,C].
func Attention(s *op.Scope, x, context *gorgonia.Node, c AttentionConfig) *gorgonia.Node {
	inner := LinearConfig{Out: c.Heads * c.HeadDim, NoBias: !c.Bias}
	q, k, v := Linear(s.Sub("to_q"), x, inner), Linear(s.Sub("to_k"), context, inner),
		Linear(s.Sub("to_v"), context, inner)
	h := op.Attention{Heads: c.Heads}.Apply(s, q, k, v)
	return Linear(s.Sub("to_out.0"), h, LinearConfig{Out: channels(x), Residual: c.Residual})
}

// ImageAttention is the attention over all pixels in the middle of the VAE: x [N,H,W,C] → [N,H,W,C], one head, x added.
func ImageAttention(s *op.Scope, x *gorgonia.Node, c NormConfig) *gorgonia.Node {
	n, height, width, ch := op.NHWC(x)
	pixels := op.View{n, height * width, ch}.Apply(s, x)
	h := GroupNorm(s.Sub("group_norm"), pixels, c)
	h = Attention(s, h, h, AttentionConfig{Heads: 1, HeadDim: ch, Bias: true, Residual: pixels})
	return s.Mark(op.View{n, height, width, ch}.Apply(s, h))
}
