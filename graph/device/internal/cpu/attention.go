package cpu

// #include "kernels.h"
import "C"

import (
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compileAttention(d *Device, r device.Request) *kernel {
	switch spec := r.Spec.(type) {
	case op.Attention:
		a := attention(spec, r)
		return scratch(C.call_attention_workspace(d.ctx, &a), func(o operands) {
			C.call_attention(d.ctx, &a, o.in[0], o.in[1], o.in[2], o.out, o.workspace)
		})
	case op.AttentionGrad:
		a := attention(op.Attention(spec), r)
		q, k := r.In[0].Bytes(), r.In[1].Bytes()
		return scratch(C.call_attention_grad_workspace(d.ctx, &a), func(o operands) {
			C.call_attention_grad(d.ctx, &a, o.in[0], o.in[1], o.in[2], o.in[3],
				o.out, move(o.out, q), move(o.out, q+k), o.workspace)
		})
	}
	return nil
}

func attention(spec op.Attention, r device.Request) C.hd_attention {
	q, k := r.In[0].Shape, r.In[1].Shape
	c := C.hd_n(q[2])
	return C.hd_attention{
		batch: C.hd_n(q[0]), heads: C.hd_n(spec.Heads), lq: C.hd_n(q[1]), lk: C.hd_n(k[1]), d: c / C.hd_n(spec.Heads),
		ld:    c,
		scale: C.float(1 / math.Sqrt(float64(q[2]/spec.Heads))), causal: flag(spec.Causal),
		_type: dtype(r.Out.DType),
	}
}
