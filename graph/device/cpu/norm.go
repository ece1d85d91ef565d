package cpu

// #include "kernels.h"
import "C"

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compileNorm(d *Device, r device.Request) (device.Kernel, error) {
	switch s := r.Spec.(type) {
	case op.GroupNormStats:
		g := groupNorm(r.In[0], s.Groups, false, r.Out)
		g.eps = C.float(s.Eps)
		return &kernel{
			workspace: int64(C.hd_group_norm_stats_workspace(d.ctx, &g)),
			run: func(out device.Pointer, in []device.Pointer, ws device.Pointer) error {
				C.hd_group_norm_stats(d.ctx, &g, (*C.float)(in[0]), (*C.float)(out), ws)
				return nil
			},
		}, nil
	case op.GroupNorm:
		g := groupNorm(r.In[0], s.Groups, s.SiLU, r.Out)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_group_norm(d.ctx, &g, (*C.float)(in[0]), (*C.float)(in[1]), (*C.float)(in[2]), (*C.float)(in[3]), out)
			return nil
		}}, nil
	case op.GroupNormGradSums:
		g := groupNorm(r.In[0], s.Groups, s.SiLU, r.In[4])
		return &kernel{
			workspace: int64(C.hd_group_norm_grad_sums_workspace(d.ctx, &g)),
			run: func(out device.Pointer, in []device.Pointer, ws device.Pointer) error {
				C.hd_group_norm_grad_sums(d.ctx, &g, (*C.float)(in[0]), (*C.float)(in[1]), (*C.float)(in[2]), (*C.float)(in[3]), in[4], (*C.float)(out), ws)
				return nil
			},
		}, nil
	case op.GroupNormGradInput:
		g := groupNorm(r.In[0], s.Groups, s.SiLU, r.In[4])
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_group_norm_grad_input(d.ctx, &g, (*C.float)(in[0]), (*C.float)(in[1]), (*C.float)(in[2]), (*C.float)(in[3]), in[4], (*C.float)(in[5]), (*C.float)(out))
			return nil
		}}, nil
	case op.LayerNorm:
		l := layerNorm(r.In[0], s.Eps, r.Out)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_layer_norm(d.ctx, &l, (*C.float)(in[0]), (*C.float)(in[1]), (*C.float)(in[2]), out)
			return nil
		}}, nil
	case op.LayerNormGradInput:
		l := layerNorm(r.In[0], s.Eps, r.In[2])
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_layer_norm_grad_input(d.ctx, &l, (*C.float)(in[0]), (*C.float)(in[1]), in[2], (*C.float)(out))
			return nil
		}}, nil
	case op.LayerNormGradParams:
		l := layerNorm(r.In[0], s.Eps, r.In[1])
		return &kernel{
			workspace: int64(C.hd_layer_norm_grad_params_workspace(d.ctx, &l)),
			run: func(out device.Pointer, in []device.Pointer, ws device.Pointer) error {
				C.hd_layer_norm_grad_params(d.ctx, &l, (*C.float)(in[0]), in[1], (*C.float)(out), ws)
				return nil
			},
		}, nil
	case op.Softmax:
		m, n, t := rows(r.Out), channels(r.Out), dtype(r.Out.DType)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_softmax(d.ctx, m, n, in[0], out, t)
			return nil
		}}, nil
	case op.SoftmaxGrad:
		m, n, t := rows(r.Out), channels(r.Out), dtype(r.Out.DType)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_softmax_grad(d.ctx, m, n, in[0], in[1], out, t)
			return nil
		}}, nil
	}
	return nil, nil
}

// samples, pixels and channels of x [N,…,C].
func samples(x device.Operand) C.long { return C.long(x.Shape[0]) }
func pixels(x device.Operand) C.long  { return rows(x) / samples(x) }

// groupNorm and layerNorm describe norms of x; y is the result, or its gradient.
func groupNorm(x device.Operand, groups int, silu bool, y device.Operand) C.hd_group_norm_shape {
	g := C.hd_group_norm_shape{n: samples(x), hw: pixels(x), c: channels(x), groups: C.long(groups), _type: dtype(y.DType)}
	if silu {
		g.act = C.HD_ACT_SILU
	}
	return g
}

func layerNorm(x device.Operand, eps float64, y device.Operand) C.hd_layer_norm_shape {
	return C.hd_layer_norm_shape{m: rows(x), c: channels(x), eps: C.float(eps), _type: dtype(y.DType)}
}
