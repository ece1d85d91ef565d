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
	resnets := nn.ResnetConfig{Groups: groups, Eps: 1e-5}
	transformers := nn.Transformer2DConfig{Heads: heads, Groups: groups, Eps: 1e-6, Layers: 1}
	s := op.NewScope("unet")
	context := s.Input("context", batch, 197, 768)
	t := op.EmbedTimestep(s, s.Input("timestep", batch), op.TimestepEmbedding{Channels: 320, CosFirst: true})
	temb := nn.TimestepEmbedding(s.Sub("time_embedding"), t, 1280)
	block := func(s *op.Scope, h *gorgonia.Node, i, channels int, attention bool) *gorgonia.Node {
		h = nn.Resnet(s.Sub("resnets.%d", i).Segment(), h, temb, channels, resnets)
		if attention {
			h = nn.Transformer2D(s.Sub("attentions.%d", i).Segment(), h, context, transformers)
		}
		return h
	}
	h := nn.Conv(s.Sub("conv_in"), s.Input("sample", batch, side, side, 8), 320, 3, 1, 1, nil)
	skips := gorgonia.Nodes{h}
	channels := []int{320, 640, 1280, 1280}
	for i, c := range channels {
		b := s.Sub("down_blocks.%d", i)
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
		b := s.Sub("up_blocks.%d", i)
		for j := range 3 {
			skip := skips[len(skips)-1]
			skips = skips[:len(skips)-1]
			h = block(b, op.ConcatChannels(b, h, skip), j, c, i > 0)
		}
		if i < 3 {
			h = nn.Upsample(b.Sub("upsamplers.0"), h, 2*h.Shape()[1], 2*h.Shape()[2])
		}
	}
	h = nn.GroupNorm(s.Sub("conv_norm_out"), h, groups, 1e-5, true)
	return s, nn.Conv(s.Sub("conv_out"), h, 4, 3, 1, 1, nil)
}
