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
	a := AttentionConfig{Heads: heads, HeadDim: c / heads}
	h := LayerNorm(s.Sub("norm1"), x, layerNormEps)
	x = Attention(s.Sub("attn1"), h, h, a, x)
	x = Attention(s.Sub("attn2"), LayerNorm(s.Sub("norm2"), x, layerNormEps), context, a, x)
	h = GEGLU(s.Sub("ff.net.0"), LayerNorm(s.Sub("norm3"), x, layerNormEps), 4*c)
	return Linear(s.Sub("ff.net.2"), h, c, true, x)
}

// GEGLU is diffusers' GEGLU: x […,C] → […,out].
func GEGLU(s *op.Scope, x *gorgonia.Node, out int) *gorgonia.Node {
	return op.GateGELU(s, Linear(s.Sub("proj"), x, 2*out, true, nil))
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
	if s.Err() != nil {
		return nil
	}
	shape := x.Shape()
	n, l, ch := shape[0], shape[1]*shape[2], shape[3]
	project := func(name string, h, residual *gorgonia.Node) *gorgonia.Node {
		if c.LinearProjection {
			return Linear(s.Sub("%s", name), h, ch, true, residual)
		}
		h = op.View(s, h, shape...)
		if residual != nil {
			residual = op.View(s, residual, shape...)
		}
		return op.View(s, Conv(s.Sub("%s", name), h, ch, 1, 1, 0, residual), n, l, ch)
	}
	pixels := op.View(s, x, n, l, ch)
	h := project("proj_in", GroupNorm(s.Sub("norm"), pixels, c.Groups, c.Eps, false), nil)
	for i := range c.Layers {
		h = TransformerBlock(s.Sub("transformer_blocks.%d", i), h, context, c.Heads)
	}
	return op.View(s, project("proj_out", h, pixels), shape...)
}
