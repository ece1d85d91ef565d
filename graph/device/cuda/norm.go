//go:build gpu

package cuda

import "github.com/histdist/histdist/graph/op"

func norm(b *builder) bool {
	r := b.request
	switch s := r.Spec.(type) {
	case op.GroupNormStats:
		x := r.In[0]
		// A lane adds up at most 64 numbers: see channel_moments.
		parts := max(b.parts(samples(x)*ceil(channels(x), channelsOfBlock), pixels(x), 4*lanes), ceil(pixels(x), 64*lanes))
		moments := b.scratch(samples(x) * parts * 2 * channels(x)).pointer
		b.columns("group_norm_parts", x, parts, channelsOfBlock, b.in(0), moments, pixels(x), channels(x))
		b.rows("group_norm_stats", samples(x)*s.Groups, moments, b.out().pointer, parts, pixels(x), channels(x), s.Groups, float32(s.Eps))
	case op.GroupNorm:
		x := r.In[0]
		parts := b.parts(samples(x)*ceil(channels(x), 2*channelsOfBlock), pixels(x), 2*lanes)
		b.columns("group_norm", x, parts, 2*channelsOfBlock, b.grouped(s), b.out())
	case op.GroupNormGradSums:
		g, x := op.GroupNorm(s), r.In[0]
		parts := b.parts(samples(x)*ceil(channels(x), channelsOfBlock), pixels(x), 4*lanes)
		b.inParts(samples(x), parts, 2*channels(x), b.out(), func(to value) {
			b.columns("group_norm_grad_sums", x, parts, channelsOfBlock, b.grouped(g), b.in(4), to.pointer)
		})
	case op.GroupNormGradInput:
		x := r.In[0]
		means := b.scratch(samples(x) * s.Groups * 2).pointer
		b.rows("group_norm_grad_means", samples(x)*s.Groups, b.in(5).pointer, b.in(2).pointer, means, pixels(x), channels(x), s.Groups)
		parts := b.parts(samples(x)*ceil(channels(x), channelsOfBlock), pixels(x), 4*lanes)
		b.columns("group_norm_grad_input", x, parts, channelsOfBlock, b.grouped(op.GroupNorm(s)), b.in(4), means, b.out())
	case op.LayerNorm:
		b.rows("layer_norm", ceil(rows(r.Out), warps), b.in(0), b.in(1).pointer, b.in(2).pointer, b.out(), rows(r.Out), channels(r.Out), float32(s.Eps))
	case op.LayerNormGradInput:
		b.rows("layer_norm_grad_input", ceil(rows(r.Out), warps), b.in(0), b.in(1).pointer, b.in(2), b.out(), rows(r.Out), channels(r.Out), float32(s.Eps))
	case op.LayerNormGradParams:
		m, c := rows(r.In[0]), channels(r.In[0])
		parts := b.parts(4, m, 4*warps)
		b.inParts(1, parts, 2*c, b.out(), func(to value) {
			b.launch("layer_norm_grad_params", [3]int{1, parts, 1}, row, b.in(0), b.in(1), to.pointer, m, c, float32(s.Eps))
		})
	case op.Softmax:
		b.rows("softmax", rows(r.Out), b.in(0), b.out(), channels(r.Out), 0, 0)
	case op.SoftmaxGrad:
		b.rows("softmax_grad", rows(r.Out), b.in(0), b.in(1), b.out(), channels(r.Out))
	default:
		return false
	}
	return true
}

// grouped is Grouped of kernels/norm.cuh, from the inputs x, stats, gamma, beta.
func (b *builder) grouped(s op.GroupNorm) structure {
	act := op.NoAct
	if s.SiLU {
		act = op.SiLU
	}
	x := b.request.In[0]
	return structure{b.in(0), b.in(1).pointer, b.in(2).pointer, b.in(3).pointer, pixels(x), channels(x), s.Groups, act}
}
