package clip

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
)

// Network is the text encoder as a graph.
type Network struct {
	Scope           *op.Scope
	IDs             *gorgonia.Node // [N,L] int32
	LastHiddenState *gorgonia.Node // [N,L,hidden_size], after the final LayerNorm
}

// Build makes the graph of transformers' CLIPTextModel for a batch of texts of so many tokens each (77).
func Build(c Config, batch, tokens int) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("text_encoder: %w", err)
	}
	if tokens != c.MaxPositionEmbeddings {
		return nil, fmt.Errorf("text_encoder: %d tokens: want max_position_embeddings, which is %d", tokens,
			c.MaxPositionEmbeddings)
	}
	root := op.NewScope("text_encoder")
	n := &Network{Scope: root, IDs: root.IndexInput("ids", batch, tokens)}
	s := root.Sub("text_model")

	e := s.Sub("embeddings")
	h := op.Embedding{}.Apply(e, n.IDs, e.Sub("token_embedding").Param("weight", c.VocabSize, c.HiddenSize))
	h = e.Mark(op.AddBatch{}.Apply(e, h, e.Sub("position_embedding").Param("weight", tokens, c.HiddenSize)))
	for i := range c.NumHiddenLayers {
		h = c.layer(s.Index("encoder.layers", i), h)
	}
	n.LastHiddenState = nn.LayerNorm(s.Sub("final_layer_norm"), h, c.LayerNormEps)
	return n, root.Err()
}

// layer is a CLIPEncoderLayer: x [N,L,C] → [N,L,C]. The mask is causal only: padding is seen.
//
//	x + self_attn(layer_norm1(x)) → + mlp(layer_norm2(·))
func (c Config) layer(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	act, err := c.activation()
	if err != nil {
		return nil // Validate has seen it
	}
	a := s.Sub("self_attn")
	project := func(name string, h, residual *gorgonia.Node) *gorgonia.Node {
		return nn.Linear(a.Sub(name), h, nn.LinearConfig{Out: c.HiddenSize, Residual: residual})
	}
	h := nn.LayerNorm(s.Sub("layer_norm1"), x, c.LayerNormEps)
	h = op.Attention{Heads: c.NumAttentionHeads, Causal: true}.Apply(a, project("q_proj", h, nil),
		project("k_proj", h, nil), project("v_proj", h, nil))
	x = project("out_proj", h, x)

	h = nn.LayerNorm(s.Sub("layer_norm2"), x, c.LayerNormEps)
	h = act.Apply(s, nn.Linear(s.Sub("mlp.fc1"), h, nn.LinearConfig{Out: c.IntermediateSize}))
	return s.Mark(nn.Linear(s.Sub("mlp.fc2"), h, nn.LinearConfig{Out: c.HiddenSize, Residual: x}))
}
