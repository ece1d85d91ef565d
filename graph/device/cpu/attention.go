package cpu

// #include "kernels.h"
import "C"

import (
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compileAttention(d *Device, r device.Request) (device.Kernel, error) {
	switch spec := r.Spec.(type) {
	case op.Attention:
		a := attention(spec, r)
		return &kernel{
			workspace: int64(C.hd_attention_forward_workspace(d.ctx, &a)),
			run: func(out device.Pointer, in []device.Pointer, ws device.Pointer) error {
				C.hd_attention_forward(d.ctx, &a, in[0], in[1], in[2], out, ws)
				return nil
			},
		}, nil
	case op.AttentionGrad:
		a := attention(op.Attention(spec), r)
		q, k := r.In[0].Bytes(), r.In[1].Bytes()
		return &kernel{
			workspace: int64(C.hd_attention_backward_workspace(d.ctx, &a)),
			run: func(out device.Pointer, in []device.Pointer, ws device.Pointer) error {
				b := device.Slice[byte](out, int(q+2*k))
				C.hd_attention_backward(d.ctx, &a, in[0], in[1], in[2], in[3],
					device.Pointer(&b[0]), device.Pointer(&b[q]), device.Pointer(&b[q+k]), ws)
				return nil
			},
		}, nil
	}
	return nil, nil
}

func attention(spec op.Attention, r device.Request) C.hd_attention {
	q, k := r.In[0].Shape, r.In[1].Shape
	c := C.long(q[2])
	a := C.hd_attention{
		batch: C.long(q[0]), heads: C.long(spec.Heads), lq: C.long(q[1]), lk: C.long(k[1]), d: c / C.long(spec.Heads),
		ldq: c, ldk: c, ldv: c, ldo: c, lddq: c, lddk: c, lddv: c,
		scale: C.float(1 / math.Sqrt(float64(q[2]/spec.Heads))), _type: dtype(r.Out.DType),
	}
	if spec.Causal {
		a.causal = 1
	}
	return a
}
