package unet

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
)

// Size is the size that a graph is built for.
type Size struct {
	Batch         int
	Height, Width int // of the latents; any size, for upsampling goes to the skip's size
	Tokens        int // of the context: 77 for text, 197 for a ViT-B/16
}

// Network is the U-Net as a graph.
type Network struct {
	Scope     *op.Scope
	Sample    *gorgonia.Node // [N,H,W,in_channels]
	Timesteps *gorgonia.Node // [N], 0…999
	Context   *gorgonia.Node // [N,Tokens,cross_attention_dim]
	Classes   *gorgonia.Node // [N,num_class_embeds], of Config.OneHot; nil without class labels
	Output    *gorgonia.Node // [N,H,W,out_channels]
}

// transformerEps is the epsilon of the GroupNorm in front of a spatial transformer.
const transformerEps = 1e-6

// builder is shared by the blocks of one network.
type builder struct {
	Config
	norm          nn.NormConfig
	temb, context *gorgonia.Node
	skips         gorgonia.Nodes
}

// Build makes the graph of diffusers' UNet2DConditionModel. Each resnet and each transformer is a recomputation
// segment; the values of blocks are marked under diffusers' names: Scope.Marked("down_blocks.0").
func Build(c Config, size Size) (*Network, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("unet: %w", err)
	}
	s := op.NewScope("unet").Adapt(c.LowRank)
	n := &Network{
		Scope:     s,
		Sample:    s.Input("sample", size.Batch, size.Height, size.Width, c.InChannels),
		Timesteps: s.Input("timesteps", size.Batch),
		Context:   s.Input("context", size.Batch, size.Tokens, c.CrossAttentionDim),
	}
	b := &builder{Config: c, norm: nn.NormConfig{Groups: c.NormNumGroups, Eps: c.NormEps}, context: n.Context}
	channels, levels := c.BlockOutChannels, len(c.BlockOutChannels)

	sinusoids := op.TimestepEmbedding{Channels: channels[0], CosFirst: c.FlipSinToCos, FreqShift: c.FreqShift}
	t := s.Sub("time_proj").Mark(sinusoids.Apply(s, n.Timesteps))
	b.temb = nn.TimestepEmbedding(s.Sub("time_embedding"), t, 4*channels[0])
	if c.NumClassEmbeds > 0 {
		n.Classes = s.Input("classes", size.Batch, c.NumClassEmbeds)
		b.temb = op.Add{}.Apply(s, b.temb, nn.Embedding(s.Sub("class_embedding"), n.Classes, c.ClassWidth()))
	}

	h := nn.Conv3x3(s.Sub("conv_in"), n.Sample, channels[0])
	b.skips = gorgonia.Nodes{h}
	for i := range levels {
		h = b.down(s.Index("down_blocks", i), h, i)
	}
	h = b.mid(s.Sub("mid_block"), h)
	for i := range levels {
		h = b.up(s.Index("up_blocks", i), h, i)
	}
	h = nn.GroupNormSiLU(s.Sub("conv_norm_out"), h, b.norm)
	n.Output = nn.Conv3x3(s.Sub("conv_out"), h, c.OutChannels)
	return n, s.Err()
}

// down is a DownBlock2D or CrossAttnDownBlock2D: resnets, each with its transformer, and a halving but at the last
// level.
func (b *builder) down(s *op.Scope, h *gorgonia.Node, level int) *gorgonia.Node {
	for j := range b.LayersPerBlock.At(level) {
		h = b.resnet(s, j, h, level)
		if b.DownBlockTypes[level] == crossAttnDown {
			h = b.transformer(s, j, h, level)
		}
		b.skips = append(b.skips, h)
	}
	if level < len(b.BlockOutChannels)-1 {
		h = nn.Downsample(s.Sub("downsamplers.0"), h)
		b.skips = append(b.skips, h)
	}
	return s.Mark(h)
}

// mid is a UNetMidBlock2DCrossAttn: resnet, transformer, resnet.
func (b *builder) mid(s *op.Scope, h *gorgonia.Node) *gorgonia.Node {
	last := len(b.BlockOutChannels) - 1
	h = b.resnet(s, 0, h, last)
	h = b.transformer(s, 0, h, last)
	return s.Mark(b.resnet(s, 1, h, last))
}

// up is an UpBlock2D or CrossAttnUpBlock2D: resnets that take a skip each, with transformers, and a doubling but at the
// first level, to the size of the next skip.
func (b *builder) up(s *op.Scope, h *gorgonia.Node, i int) *gorgonia.Node {
	level := len(b.BlockOutChannels) - 1 - i
	for j := range b.LayersPerBlock.At(level) + 1 {
		skip := b.skips[len(b.skips)-1]
		b.skips = b.skips[:len(b.skips)-1]
		h = b.resnet(s, j, op.ConcatChannels(s, h, skip), level)
		if b.UpBlockTypes[i] == crossAttnUp {
			h = b.transformer(s, j, h, level)
		}
	}
	if level > 0 {
		_, height, width, _ := op.NHWC(b.skips[len(b.skips)-1])
		h = nn.Upsample(s.Sub("upsamplers.0"), h, height, width)
	}
	return s.Mark(h)
}

func (b *builder) resnet(s *op.Scope, j int, h *gorgonia.Node, level int) *gorgonia.Node {
	return nn.Resnet(s.Index("resnets", j).Segment(), h, b.temb,
		nn.ResnetConfig{Out: b.BlockOutChannels[level], Norm: b.norm})
}

func (b *builder) transformer(s *op.Scope, j int, h *gorgonia.Node, level int) *gorgonia.Node {
	return nn.Transformer2D(s.Index("attentions", j).Segment(), h, b.context, nn.Transformer2DConfig{
		Heads: b.heads(level), Groups: b.NormNumGroups, Eps: transformerEps,
		Layers: b.TransformerLayers.At(level), LinearProjection: b.UseLinearProjection,
	})
}
