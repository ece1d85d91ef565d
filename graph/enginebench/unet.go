package enginebench

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
)

// UNet builds a network with the layers, sizes and skips of Stable Diffusion 1.5's U-Net with 8 input channels, for questions
// of time and memory: inputs sample [batch,side,side,8], timestep [batch] and context [batch,197,768] → [batch,side,side,4].
// Each resnet and each transformer is a recomputation segment.
func UNet(batch, side int) (*op.Scope, *gorgonia.Node) {
	const heads, groups = 8, 32
	resnets := nn.NormConfig{Groups: groups, Eps: 1e-5}
	transformers := nn.Transformer2DConfig{Heads: heads, Groups: groups, Eps: 1e-6, Layers: 1}
	s := op.NewScope("unet")
	context := s.Input("context", batch, 197, 768)
	t := op.TimestepEmbedding{Channels: 320, CosFirst: true}.Apply(s, s.Input("timestep", batch))
	temb := nn.TimestepEmbedding(s.Sub("time_embedding"), t, 1280)
	block := func(s *op.Scope, h *gorgonia.Node, i, channels int, attention bool) *gorgonia.Node {
		h = nn.Resnet(s.Index("resnets", i).Segment(), h, temb, nn.ResnetConfig{Out: channels, Norm: resnets})
		if attention {
			h = nn.Transformer2D(s.Index("attentions", i).Segment(), h, context, transformers)
		}
		return h
	}
	h := nn.Conv3x3(s.Sub("conv_in"), s.Input("sample", batch, side, side, 8), 320)
	skips := gorgonia.Nodes{h}
	channels := []int{320, 640, 1280, 1280}
	for i, c := range channels {
		b := s.Index("down_blocks", i)
		for j := range 2 {
			h = block(b, h, j, c, i < 3)
			skips = append(skips, h)
		}
		if i < 3 {
			h = nn.Downsample(b.Sub("downsamplers.0"), h)
			skips = append(skips, h)
		}
	}
	m := s.Sub("mid_block")
	h = block(m, h, 0, 1280, true)
	h = block(m, h, 1, 1280, false)
	for i := range channels {
		c := channels[3-i]
		b := s.Index("up_blocks", i)
		for j := range 3 {
			skip := skips[len(skips)-1]
			skips = skips[:len(skips)-1]
			h = block(b, op.ConcatChannels(b, h, skip), j, c, i > 0)
		}
		if i < 3 {
			h = nn.Upsample(b.Sub("upsamplers.0"), h, 2*h.Shape()[1], 2*h.Shape()[2])
		}
	}
	h = nn.GroupNormSiLU(s.Sub("conv_norm_out"), h, nn.NormConfig{Groups: groups, Eps: 1e-5})
	return s, nn.Conv3x3(s.Sub("conv_out"), h, 4)
}
