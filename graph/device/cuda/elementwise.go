//go:build gpu

package cuda

import (
	"math"

	"github.com/histdist/histdist/graph/op"
)

func elementwise(b *builder) bool {
	r := b.request
	n, y := size(r.Out), b.out()
	switch s := r.Spec.(type) {
	case op.Activation:
		b.flat("activation", n, b.in(0), y, n, s.Act)
	case op.ActivationGrad:
		b.flat("activation_grad", n, b.in(0), b.in(1), y, n, s.Act)
	case op.GEGLU:
		b.flat("geglu", n, b.in(0), y, n, channels(r.Out))
	case op.GEGLUGrad:
		half := size(r.In[1])
		b.flat("geglu_grad", half, b.in(0), b.in(1), y, half, channels(r.In[1]))
	case op.Add:
		b.flat("add", n, b.in(0), b.in(1), y, n)
	case op.Mul:
		b.each("mul", n, b.in(0), b.in(1), y, n)
	case op.Scale:
		b.flat("scale", n, b.in(0), y, n, float32(s.Factor))
	case op.Cast:
		b.flat("cast", n, b.in(0), y, n)
	case op.AddChannels:
		b.flat("add_channels", n, b.in(0), b.in(1), y, n, pixels(r.Out), channels(r.Out))
	case op.AddBatch:
		b.flat("add_batch", n, b.in(0), b.in(1), y, n, size(r.In[1]))
	case op.TimestepEmbedding:
		// As op.TimestepEmbedding.Embed has them.
		logPeriod, steps := float32(-math.Log(10000)), float32(float64(s.Channels/2)-s.FreqShift)
		b.each("timestep_embedding", n, b.in(0), y, n, s.Channels, s.CosFirst, logPeriod, steps)
	default:
		return false
	}
	return true
}
