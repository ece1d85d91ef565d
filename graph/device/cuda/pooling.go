//go:build gpu

package cuda

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func pooling(b *builder) bool {
	r := b.request
	n, y := size(r.Out), b.out()
	switch s := r.Spec.(type) {
	case op.MaxPool2D:
		b.each("max_pool", n, b.in(0), y, windows(s.Geometry, r.In[0], false), n)
	case op.MaxPool2DGrad:
		b.each("max_pool_grad", n, b.in(0), b.in(1), y, windows(s.Geometry, r.Out, false), n)
	case op.AvgPool2D:
		b.each("avg_pool", n, b.in(0), y, windows(s.Geometry, r.In[0], s.CountIncludePad), n)
	case op.AvgPool2DGrad:
		b.each("avg_pool_grad", n, b.in(0), y, windows(s.Geometry, r.Out, s.CountIncludePad), n)
	default:
		return false
	}
	return true
}

// windows is Windows of kernels/pooling.cuh: how windows walk over x [N,H,W,C].
func windows(g op.Geometry, x device.Operand, countPadding bool) structure {
	h, w := x.Shape[1], x.Shape[2]
	oh, ow := g.Out(h, w)
	return structure{h, w, channels(x), oh, ow, g.KH, g.KW, g.Stride, g.Pad.Top, g.Pad.Left, countPadding}
}
