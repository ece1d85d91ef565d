package cpu

// #include "kernels.h"
import "C"

import (
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compilePooling(d *Device, r device.Request) *kernel {
	var w C.hd_windows
	switch s := r.Spec.(type) {
	case op.MaxPool2D:
		w = windows(s.Geometry, r.In[0].Shape, r.Out.DType)
	case op.AvgPool2D:
		w = windows(s.Geometry, r.In[0].Shape, r.Out.DType)
		w.mean, w.count_padding = 1, flag(s.CountIncludePad)
	default:
		return nil
	}
	return &kernel{run: func(o operands) { C.call_pool(d.ctx, &w, o.in[0], o.out) }}
}

// windows describes how windows walk over x [N,H,W,C].
func windows(g op.Geometry, x tensor.Shape, t device.DType) C.hd_windows {
	oh, ow := g.Out(x[1], x[2])
	return C.hd_windows{
		n: C.hd_n(x[0]), h: C.hd_n(x[1]), w: C.hd_n(x[2]), c: C.hd_n(x[3]), oh: C.hd_n(oh), ow: C.hd_n(ow),
		kh: C.hd_n(g.KH), kw: C.hd_n(g.KW), stride: C.hd_n(g.Stride), top: C.hd_n(g.Pad.Top), left: C.hd_n(g.Pad.Left),
		_type: dtype(t),
	}
}
