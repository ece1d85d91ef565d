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
	class := s.Param("cls_token", 1, 1, c.HiddenSize)
	positions := s.Param("position_embeddings", 1, c.Tokens(), c.HiddenSize)
	patches := nn.Conv(s.Sub("patch_embeddings.projection"), pixels, c.HiddenSize, c.PatchSize, c.PatchSize, 0, nil)
	return s.Mark(sequence(s, patches, class, positions))
}

// sequence puts the class token [1,1,C] before the patches [N,H,W,C] and adds the positions [1,1+H·W,C]: [N,1+H·W,C].
func sequence(s *op.Scope, patches, class, positions *gorgonia.Node) *gorgonia.Node {
	if s.Err() != nil {
		return nil
	}
	shape := patches.Shape()
	batch, tokens, channels := shape[0], 1+shape[1]*shape[2], shape[3]
	// Zeros make room for the class token in each sample, and it is added like a position.
	h := op.ZeroPadded(s, op.View(s, patches, batch, tokens-1, channels), 1, 1, tokens)
	h = op.SumBroadcast(s, h, op.View(s, positions, tokens, channels))
	first := op.ZeroPadded(s, op.View(s, class, 1, channels), 0, 0, tokens)
	return op.SumBroadcast(s, h, first)
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
