//go:build gpu

package cuda

import "github.com/histdist/histdist/graph/op"

func norm(b *builder) bool {
	r := b.request
	n := size(r.Out)
	switch s := r.Spec.(type) {
	case op.GroupNormStats:
		x := r.In[0]
		b.rows("group_norm_stats", samples(x)*s.Groups, b.in(0), b.out().pointer, pixels(x), channels(x), s.Groups, float32(s.Eps))
	case op.GroupNorm:
		b.each("group_norm", n, b.grouped(s), b.out(), n)
	case op.GroupNormGradSums:
		g, x := op.GroupNorm(s), r.In[0]
		b.inParts(samples(x), pixels(x), 2*channels(x), b.out(), func(to value, parts int) {
			b.launch("group_norm_grad_sums", [3]int{ceil(channels(x), columns), parts, samples(x)}, threads, b.grouped(g), b.in(4), to.pointer)
		})
	case op.GroupNormGradInput:
		x := r.In[0]
		means := b.scratch(samples(x) * s.Groups * 2)
		b.rows("group_norm_grad_means", samples(x)*s.Groups, b.in(5).pointer, b.in(2).pointer, means.pointer, pixels(x), channels(x), s.Groups)
		b.each("group_norm_grad_input", n, b.grouped(op.GroupNorm(s)), b.in(4), means.pointer, b.out(), n)
	case op.LayerNorm:
		b.rows("layer_norm", rows(r.Out), b.in(0), b.in(1).pointer, b.in(2).pointer, b.out(), channels(r.Out), float32(s.Eps))
	case op.LayerNormGradInput:
		b.rows("layer_norm_grad_input", rows(r.Out), b.in(0), b.in(1).pointer, b.in(2), b.out(), channels(r.Out), float32(s.Eps))
	case op.LayerNormGradParams:
		m, c := rows(r.In[0]), channels(r.In[0])
		stats := b.scratch(2 * m)
		b.rows("layer_norm_stats", m, b.in(0), stats.pointer, c, float32(s.Eps))
		b.inParts(1, m, 2*c, b.out(), func(to value, parts int) {
			b.launch("layer_norm_grad_params", [3]int{ceil(c, columns), parts, 1}, threads, b.in(0), stats.pointer, b.in(1), to.pointer, m, c)
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
		act = op.SiLUAct
	}
	x := b.request.In[0]
	return structure{b.in(0), b.in(1).pointer, b.in(2).pointer, b.in(3).pointer, pixels(x), channels(x), s.Groups, act}
}
