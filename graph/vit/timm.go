package vit

import (
	"errors"
	"fmt"
	"strings"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/hfconfig"
)

// TimmConfig is the shape of a VisionTransformer of the timm library, as it is made for features: num_classes 0,
// global_pool "token", no register tokens. In the comments: ViT-B/16, and the tile encoder of Prov-GigaPath.
type TimmConfig struct {
	EmbedDim   int  // 768, 1536
	Depth      int  // 12, 40
	NumHeads   int  // 12, 24
	Hidden     int  // 3072, 8192: the width after mlp.fc1, int(EmbedDim · mlp_ratio)
	SwiGLU     bool // false, true: mlp_layer=SwiGLUPacked, whose fc2 reads half of Hidden
	LayerScale bool // false, true: init_values is set
	ImageSize  int  // 224
	PatchSize  int  // 16
}

const (
	timmChannels = 3
	timmEps      = 1e-6 // of timm's LayerNorm
)

// GigaPath is the tile encoder of Prov-GigaPath (Xu et al. 2024, "A whole-slide foundation model for digital pathology
// from real-world data"): timm's vit_giant_patch14_dinov2 with patches of 16 pixels, 1.13 billion parameters.
func GigaPath() TimmConfig {
	return TimmConfig{
		EmbedDim: 1536, Depth: 40, NumHeads: 24, Hidden: 8192, SwiGLU: true, LayerScale: true, ImageSize: 224, PatchSize: 16,
	}
}

// validate reports everything that is wrong with the configuration.
func (c TimmConfig) validate() error {
	errs := []error{hfconfig.Positive(map[string]int{
		"embed_dim": c.EmbedDim, "depth": c.Depth, "num_heads": c.NumHeads, "hidden": c.Hidden, "img_size": c.ImageSize,
		"patch_size": c.PatchSize,
	})}
	if c.NumHeads > 0 && c.EmbedDim%c.NumHeads != 0 {
		errs = append(errs, fmt.Errorf("embed_dim: %d: want a multiple of num_heads (%d)", c.EmbedDim, c.NumHeads))
	}
	if c.PatchSize > 0 && c.ImageSize%c.PatchSize != 0 {
		errs = append(errs, fmt.Errorf("img_size: %d: want a multiple of patch_size (%d)", c.ImageSize, c.PatchSize))
	}
	if c.SwiGLU && c.Hidden%2 != 0 {
		errs = append(errs, fmt.Errorf("hidden: %d: want an even number, for SwiGLU halves it", c.Hidden))
	}
	return errors.Join(errs...)
}

// Tokens is the length of the sequence: the class token and one for each patch, 197.
func (c TimmConfig) Tokens() int {
	side := c.ImageSize / c.PatchSize
	return 1 + side*side
}

// TimmMapping allows what a published file has in addition to the network's tensors: a classifier.
func TimmMapping() weights.Mapping {
	return weights.Mapping{Ignore: func(name string) bool { return strings.HasPrefix(name, "head.") }}
}

// TimmNetwork is timm's vision transformer as a graph, for inference: LayerScale is folded into the layer in front of
// it.
type TimmNetwork struct {
	Scope  *op.Scope
	Folds  *nn.Folds      // to be folded between binding the parameters and compiling
	Pixels *gorgonia.Node // [N,224,224,3], normalised
	Tokens *gorgonia.Node // [N,197,EmbedDim], the class token first, after the final LayerNorm: timm's forward_features
	Class  *gorgonia.Node // [N,EmbedDim]: the class token alone, the network's output
}

// BuildTimm makes the graph of timm's VisionTransformer. Parameters have timm's names.
func BuildTimm(c TimmConfig, batch int) (*TimmNetwork, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("vit: %w", err)
	}
	s := op.NewScope("vit")
	n := &TimmNetwork{
		Scope: s, Folds: &nn.Folds{},
		Pixels: s.Input("pixels", batch, c.ImageSize, c.ImageSize, timmChannels),
	}
	class, positions := s.Param("cls_token", 1, 1, c.EmbedDim), s.Param("pos_embed", 1, c.Tokens(), c.EmbedDim)
	patches := nn.Conv(s.Sub("patch_embed.proj"), n.Pixels,
		nn.ConvConfig{Out: c.EmbedDim, Kernel: c.PatchSize, Stride: c.PatchSize})
	h := sequence(s, patches, class, positions)
	for i := range c.Depth {
		h = n.block(s.Index("blocks", i), h, c)
	}
	n.Tokens = nn.LayerNorm(s.Sub("norm"), h, timmEps)
	n.Class = op.View{batch, c.EmbedDim}.Apply(s, op.Slice{Axis: 1, Offset: 0, Length: 1}.Apply(s, n.Tokens))
	return n, s.Err()
}

// block is timm's Block: x [N,L,C] → [N,L,C].
//
//	x + ls1(attn(norm1(x))) → + ls2(mlp(norm2(·)))
func (n *TimmNetwork) block(s *op.Scope, x *gorgonia.Node, c TimmConfig) *gorgonia.Node {
	// residual adds the last layer of a branch, with its LayerScale if there is one.
	residual := func(linear, scale string, h *gorgonia.Node) *gorgonia.Node {
		if c.LayerScale {
			return n.Folds.ScaledLinear(s.Sub(linear), s.Sub(scale), h, c.EmbedDim, x)
		}
		return nn.Linear(s.Sub(linear), h, nn.LinearConfig{Out: c.EmbedDim, Residual: x})
	}
	h := nn.LayerNorm(s.Sub("norm1"), x, timmEps)
	qkv := nn.Linear(s.Sub("attn.qkv"), h, nn.LinearConfig{Out: 3 * c.EmbedDim})
	part := func(i int) *gorgonia.Node {
		return op.Slice{Axis: 2, Offset: i * c.EmbedDim, Length: c.EmbedDim}.Apply(s, qkv)
	}
	x = residual("attn.proj", "ls1", op.Attention{Heads: c.NumHeads}.Apply(s.Sub("attn"), part(0), part(1), part(2)))

	h = nn.Linear(s.Sub("mlp.fc1"), nn.LayerNorm(s.Sub("norm2"), x, timmEps), nn.LinearConfig{Out: c.Hidden})
	if c.SwiGLU { // SwiGLUPacked: silu of the first half times the second
		gate := op.SiLU.Apply(s, op.Slice{Axis: 2, Offset: 0, Length: c.Hidden / 2}.Apply(s, h))
		h = op.Mul{}.Apply(s, gate, op.Slice{Axis: 2, Offset: c.Hidden / 2, Length: c.Hidden / 2}.Apply(s, h))
	} else {
		h = op.GELU.Apply(s, h)
	}
	return s.Mark(residual("mlp.fc2", "ls2", h))
}
