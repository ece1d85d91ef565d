package vit

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
)

// Network is the vision transformer as a graph.
type Network struct {
	Scope           *op.Scope
	Pixels          *gorgonia.Node // [N,224,224,3], normalised: see Preprocess
	LastHiddenState *gorgonia.Node // [N,197,hidden_size], the class token first, after the final LayerNorm
}

// Build makes the graph of transformers' ViTModel without its pooler.
func Build(c Config, batch int) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("vit: %w", err)
	}
	s := op.NewScope("vit")
	n := &Network{Scope: s, Pixels: s.Input("pixels", batch, c.ImageSize, c.ImageSize, c.NumChannels)}
	h := c.embed(s.Sub("embeddings"), n.Pixels)
	for i := range c.NumHiddenLayers {
		h = c.layer(s.Index("encoder.layer", i), h)
	}
	n.LastHiddenState = nn.LayerNorm(s.Sub("layernorm"), h, c.LayerNormEps)
	return n, s.Err()
}

// embed is ViTEmbeddings: pixels [N,H,W,3] → [N,1+patches,C]: the class token and the patches, with their positions
// added.
func (c Config) embed(s *op.Scope, pixels *gorgonia.Node) *gorgonia.Node {
	class := s.Param("cls_token", 1, 1, c.HiddenSize)
	positions := s.Param("position_embeddings", 1, c.Tokens(), c.HiddenSize)
	patches := nn.Conv(s.Sub("patch_embeddings.projection"), pixels,
		nn.ConvConfig{Out: c.HiddenSize, Kernel: c.PatchSize, Stride: c.PatchSize})
	return s.Mark(sequence(s, patches, class, positions))
}

// sequence puts the class token [1,1,C] before the patches [N,H,W,C] and adds the positions [1,1+H·W,C]: [N,1+H·W,C].
func sequence(s *op.Scope, patches, class, positions *gorgonia.Node) *gorgonia.Node {
	batch, height, width, channels := op.NHWC(patches)
	tokens := 1 + height*width
	// Zeros make room for the class token in each sample, and it is added like a position.
	h := op.ZeroPad{Axis: 1, Before: 1, Size: tokens}.Apply(s, op.View{batch, tokens - 1, channels}.Apply(s, patches))
	h = op.AddBatch{}.Apply(s, h, op.View{tokens, channels}.Apply(s, positions))
	first := op.ZeroPad{Axis: 0, Before: 0, Size: tokens}.Apply(s, op.View{1, channels}.Apply(s, class))
	return op.AddBatch{}.Apply(s, h, first)
}

// layer is a ViTLayer: x [N,L,C] → [N,L,C].
//
//	x + attention(layernorm_before(x)) → + output(gelu(intermediate(layernorm_after(·))))
func (c Config) layer(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	a := s.Sub("attention.attention")
	project := func(name string, h *gorgonia.Node) *gorgonia.Node {
		return nn.Linear(a.Sub(name), h, nn.LinearConfig{Out: c.HiddenSize, NoBias: !c.QKVBias})
	}
	h := nn.LayerNorm(s.Sub("layernorm_before"), x, c.LayerNormEps)
	h = op.Attention{Heads: c.NumAttentionHeads}.Apply(a, project("query", h), project("key", h), project("value", h))
	x = nn.Linear(s.Sub("attention.output.dense"), h, nn.LinearConfig{Out: c.HiddenSize, Residual: x})

	h = nn.LayerNorm(s.Sub("layernorm_after"), x, c.LayerNormEps)
	h = op.GELU.Apply(s, nn.Linear(s.Sub("intermediate.dense"), h, nn.LinearConfig{Out: c.IntermediateSize}))
	return s.Mark(nn.Linear(s.Sub("output.dense"), h, nn.LinearConfig{Out: c.HiddenSize, Residual: x}))
}
