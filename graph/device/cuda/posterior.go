//go:build gpu

package cuda

import "github.com/histdist/histdist/graph/op"

func posterior(b *builder) bool {
	r := b.request
	const low, high = float32(op.MinLogVariance), float32(op.MaxLogVariance)
	switch r.Spec.(type) {
	case op.PosteriorSample, op.PosteriorSampleGrad, op.KLDivergence, op.KLDivergenceGrad:
	default:
		return false
	}
	moments := r.In[0]
	n, c := size(moments)/2, channels(moments)/2
	switch r.Spec.(type) {
	case op.PosteriorSample:
		b.each("posterior_sample", n, b.in(0), b.in(1), b.out(), n, c, low, high)
	case op.PosteriorSampleGrad:
		b.each("posterior_sample_grad", n, b.in(0), b.in(1), b.in(2), b.out(), n, c, low, high)
	case op.KLDivergence:
		b.total(n, float32(1/float64(samples(moments))), func(partial pointer, grid [3]int) {
			b.launch("kl_sums", grid, row, b.in(0), partial, n, c, low, high)
		})
	case op.KLDivergenceGrad:
		b.each("kl_grad", n, b.in(0), b.in(1).pointer, b.out(), n, c, samples(moments), low, high)
	}
	return true
}
