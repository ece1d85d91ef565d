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
	LastHiddenState *gorgonia.Node // [N,197,hidden_size], the class token first, behind the final LayerNorm
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
		h = c.layer(s.Sub("encoder.layer.%d", i), h)
	}
	n.LastHiddenState = nn.LayerNorm(s.Sub("layernorm"), h, c.LayerNormEps)
	return n, s.Err()
}

// embed is ViTEmbeddings: pixels [N,H,W,3] → [N,1+patches,C]: the class token and the patches, with their positions added.
func (c Config) embed(s *op.Scope, pixels *gorgonia.Node) *gorgonia.Node {
	if s.Err() != nil {
		return nil
	}
	batch, tokens := pixels.Shape()[0], c.Tokens()
	class := s.Param("cls_token", 1, 1, c.HiddenSize)
	positions := s.Param("position_embeddings", 1, tokens, c.HiddenSize)
	patches := nn.Conv(s.Sub("patch_embeddings.projection"), pixels, c.HiddenSize, c.PatchSize, c.PatchSize, 0, nil)
	// The class token stands before the patches in each sample: zeros make room for it, and it is added like a position.
	h := op.ZeroPadded(s, op.View(s, patches, batch, tokens-1, c.HiddenSize), 1, 1, tokens)
	h = op.SumBroadcast(s, h, op.View(s, positions, tokens, c.HiddenSize))
	first := op.ZeroPadded(s, op.View(s, class, 1, c.HiddenSize), 0, 0, tokens)
	return s.Mark(op.SumBroadcast(s, h, first))
}

// layer is a ViTLayer: x [N,L,C] → [N,L,C].
//
//	x + attention(layernorm_before(x)) → + output(gelu(intermediate(layernorm_after(·))))
func (c Config) layer(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	a := s.Sub("attention.attention")
	project := func(name string, h *gorgonia.Node) *gorgonia.Node {
		return nn.Linear(a.Sub("%s", name), h, c.HiddenSize, c.QKVBias, nil)
	}
	h := nn.LayerNorm(s.Sub("layernorm_before"), x, c.LayerNormEps)
	h = op.Attend(a, project("query", h), project("key", h), project("value", h), c.NumAttentionHeads, false)
	x = nn.Linear(s.Sub("attention.output.dense"), h, c.HiddenSize, true, x)

	h = nn.LayerNorm(s.Sub("layernorm_after"), x, c.LayerNormEps)
	h = op.Activate(s, nn.Linear(s.Sub("intermediate.dense"), h, c.IntermediateSize, true, nil), op.GELUAct)
	return s.Mark(nn.Linear(s.Sub("output.dense"), h, c.HiddenSize, true, x))
}
