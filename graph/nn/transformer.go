package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// layerNormEps is BasicTransformerBlock's.
const layerNormEps = 1e-5

// TransformerBlock is diffusers' BasicTransformerBlock: x [N,L,C], context [N,Lk,D] → [N,L,C].
//
//	x + attn1(norm1(x)) → + attn2(norm2(·), context) → + ff(norm3(·)), ff being a GEGLU of four times the width
func TransformerBlock(s *op.Scope, x, context *gorgonia.Node, heads int) *gorgonia.Node {
	c := channels(x)
	h := LayerNorm(s.Sub("norm1"), x, layerNormEps)
	x = Attention(s.Sub("attn1"), h, h, AttentionConfig{Heads: heads, HeadDim: c / heads, Residual: x})
	h = LayerNorm(s.Sub("norm2"), x, layerNormEps)
	x = Attention(s.Sub("attn2"), h, context, AttentionConfig{Heads: heads, HeadDim: c / heads, Residual: x})
	h = GEGLU(s.Sub("ff.net.0"), LayerNorm(s.Sub("norm3"), x, layerNormEps), 4*c)
	return Linear(s.Sub("ff.net.2"), h, LinearConfig{Out: c, Residual: x})
}

// GEGLU is diffusers' GEGLU: x […,C] → […,out].
func GEGLU(s *op.Scope, x *gorgonia.Node, out int) *gorgonia.Node {
	return op.GEGLU{}.Apply(s, Linear(s.Sub("proj"), x, LinearConfig{Out: 2 * out}))
}

// Transformer2DConfig is the shape of a spatial transformer.
type Transformer2DConfig struct {
	Heads            int
	Groups           int     // norm_num_groups, 32
	Eps              float64 // 1e-6
	Layers           int     // transformer_layers_per_block, 1
	LinearProjection bool    // use_linear_projection: false in SD 1, true in SD 2
}

// Transformer2D is diffusers' Transformer2DModel: x [N,H,W,C], context [N,Lk,D] → [N,H,W,C].
//
//	norm → proj_in → transformer_blocks over the pixels → proj_out → + x
func Transformer2D(s *op.Scope, x, context *gorgonia.Node, c Transformer2DConfig) *gorgonia.Node {
	n, height, width, ch := op.NHWC(x)
	image, tokens := op.View{n, height, width, ch}, op.View{n, height * width, ch}
	project := func(name string, h, residual *gorgonia.Node) *gorgonia.Node {
		if c.LinearProjection {
			return Linear(s.Sub(name), h, LinearConfig{Out: ch, Residual: residual})
		}
		h = image.Apply(s, h)
		if residual != nil {
			residual = image.Apply(s, residual)
		}
		return tokens.Apply(s, Conv(s.Sub(name), h, ConvConfig{Out: ch, Kernel: 1, Residual: residual}))
	}
	pixels := tokens.Apply(s, x)
	h := project("proj_in", GroupNorm(s.Sub("norm"), pixels, NormConfig{Groups: c.Groups, Eps: c.Eps}), nil)
	for i := range c.Layers {
		h = TransformerBlock(s.Index("transformer_blocks", i), h, context, c.Heads)
	}
	return image.Apply(s, project("proj_out", h, pixels))
}
