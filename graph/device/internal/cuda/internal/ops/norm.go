//go:build gpu

package ops

import (
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

func norm(b *builder) bool {
	r := b.Request
	switch s := r.Spec.(type) {
	case op.GroupNormStats:
		x := r.In[0]
		// A lane adds up at most 64 numbers: see channel_moments.
		parts := b.parts(samples(x)*ceil(channels(x), kernels.ChannelsOfBlock), pixels(x), 4*kernels.Lanes)
		parts = max(parts, ceil(pixels(x), 64*kernels.Lanes))
		moments := b.Scratch(samples(x) * parts * 2 * channels(x)).Pointer
		b.columns("group_norm_parts", x, parts, kernels.ChannelsOfBlock, b.In(0), moments, pixels(x), channels(x))
		b.Rows("group_norm_stats", samples(x)*s.Groups,
			moments, b.Out().Pointer, parts, pixels(x), channels(x), s.Groups, float32(s.Eps))
	case op.GroupNorm:
		x := r.In[0]
		parts := b.parts(samples(x)*ceil(channels(x), 2*kernels.ChannelsOfBlock), pixels(x), 2*kernels.Lanes)
		b.columns("group_norm", x, parts, 2*kernels.ChannelsOfBlock, b.grouped(s), b.Out())
	case op.GroupNormGradSums:
		g, x := op.GroupNorm(s), r.In[0]
		parts := b.parts(samples(x)*ceil(channels(x), kernels.ChannelsOfBlock), pixels(x), 4*kernels.Lanes)
		b.inParts(samples(x), parts, 2*channels(x), b.Out(), func(to launch.Value) {
			b.columns("group_norm_grad_sums", x, parts, kernels.ChannelsOfBlock, b.grouped(g), b.In(4), to.Pointer)
		})
	case op.GroupNormGradInput:
		x := r.In[0]
		means := b.Scratch(samples(x) * s.Groups * 2).Pointer
		b.Rows("group_norm_grad_means", samples(x)*s.Groups,
			b.In(5).Pointer, b.In(2).Pointer, means, pixels(x), channels(x), s.Groups)
		parts := b.parts(samples(x)*ceil(channels(x), kernels.ChannelsOfBlock), pixels(x), 4*kernels.Lanes)
		b.columns("group_norm_grad_input", x, parts, kernels.ChannelsOfBlock,
			b.grouped(op.GroupNorm(s)), b.In(4), means, b.Out())
	case op.LayerNorm:
		b.Rows("layer_norm", ceil(rows(r.Out), kernels.Warps),
			b.In(0), b.In(1).Pointer, b.In(2).Pointer, b.Out(), rows(r.Out), channels(r.Out), float32(s.Eps))
	case op.LayerNormGradInput:
		b.Rows("layer_norm_grad_input", ceil(rows(r.Out), kernels.Warps),
			b.In(0), b.In(1).Pointer, b.In(2), b.Out(), rows(r.Out), channels(r.Out), float32(s.Eps))
	case op.LayerNormGradParams:
		m, c := rows(r.In[0]), channels(r.In[0])
		parts := b.parts(4, m, 4*kernels.Warps)
		b.inParts(1, parts, 2*c, b.Out(), func(to launch.Value) {
			b.Launch("layer_norm_grad_params", [3]int{1, parts, 1}, kernels.Row,
				b.In(0), b.In(1), to.Pointer, m, c, float32(s.Eps))
		})
	default:
		return false
	}
	return true
}

// grouped is Grouped of group_norm.cu, from the inputs x, stats, gamma, beta.
func (b *builder) grouped(s op.GroupNorm) launch.Structure {
	act := op.NoAct
	if s.SiLU {
		act = op.SiLU
	}
	x := b.Request.In[0]
	return launch.Structure{
		b.In(0), b.In(1).Pointer, b.In(2).Pointer, b.In(3).Pointer, pixels(x), channels(x), s.Groups, act,
	}
}
