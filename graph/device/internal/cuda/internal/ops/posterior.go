//go:build gpu

package ops

import (
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

func posterior(b *builder) bool {
	r := b.Request
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
		b.Each("posterior_sample", n, b.In(0), b.In(1), b.Out(), n, c, low, high)
	case op.PosteriorSampleGrad:
		b.Each("posterior_sample_grad", n, b.In(0), b.In(1), b.In(2), b.Out(), n, c, low, high)
	case op.KLDivergence:
		b.total(n, float32(1/float64(samples(moments))), func(partial launch.Pointer, grid [3]int) {
			b.Launch("kl_sums", grid, kernels.Row, b.In(0), partial, n, c, low, high)
		})
	case op.KLDivergenceGrad:
		b.Each("kl_grad", n, b.In(0), b.In(1).Pointer, b.Out(), n, c, samples(moments), low, high)
	}
	return true
}
