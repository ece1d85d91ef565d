//go:build gpu

package ops

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

func pooling(b *builder) bool {
	r := b.Request
	n, y := size(r.Out), b.Out()
	switch s := r.Spec.(type) {
	case op.MaxPool2D:
		b.Each("max_pool", n, b.In(0), y, windows(s.Geometry, r.In[0], false), n)
	case op.AvgPool2D:
		b.Each("avg_pool", n, b.In(0), y, windows(s.Geometry, r.In[0], s.CountIncludePad), n)
	default:
		return false
	}
	return true
}

// windows is Windows of pooling.cu: how windows walk over x [N,H,W,C].
func windows(g op.Geometry, x device.Operand, countPadding bool) launch.Structure {
	h, w := x.Shape[1], x.Shape[2]
	oh, ow := g.Out(h, w)
	return launch.Structure{h, w, channels(x), oh, ow, g.KH, g.KW, g.Stride, g.Pad.Top, g.Pad.Left, countPadding}
}
