//go:build gpu

package ops

import (
	"math"

	"github.com/histdist/histdist/graph/op"
)

func elementwise(b *builder) bool {
	r := b.Request
	n, y := size(r.Out), b.Out()
	switch s := r.Spec.(type) {
	case op.Activation:
		b.Flat("activation", n, b.In(0), y, n, s.Act)
	case op.ActivationGrad:
		b.Flat("activation_grad", n, b.In(0), b.In(1), y, n, s.Act)
	case op.GEGLU:
		b.Flat("geglu", n, b.In(0), y, n, channels(r.Out))
	case op.GEGLUGrad:
		half := size(r.In[1])
		b.Flat("geglu_grad", half, b.In(0), b.In(1), y, half, channels(r.In[1]))
	case op.Add:
		b.Flat("add", n, b.In(0), b.In(1), y, n)
	case op.Mul:
		b.Each("mul", n, b.In(0), b.In(1), y, n)
	case op.Scale:
		b.Flat("scale", n, b.In(0), y, n, float32(s.Factor))
	case op.Cast:
		b.Flat("cast", n, b.In(0), y, n)
	case op.AddChannels:
		b.Flat("add_channels", n, b.In(0), b.In(1), y, n, pixels(r.Out), channels(r.Out))
	case op.AddBatch:
		b.Flat("add_batch", n, b.In(0), b.In(1), y, n, size(r.In[1]))
	case op.TimestepEmbedding:
		// As op.TimestepEmbedding.Embed has them.
		logPeriod, steps := float32(-math.Log(10000)), float32(float64(s.Channels/2)-s.FreqShift)
		b.Each("timestep_embedding", n, b.In(0), y, n, s.Channels, s.CosFirst, logPeriod, steps)
	default:
		return false
	}
	return true
}
