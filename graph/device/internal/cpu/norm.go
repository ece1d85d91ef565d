package cpu

// #include "kernels.h"
import "C"

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compileNorm(d *Device, r device.Request) *kernel {
	switch s := r.Spec.(type) {
	case op.GroupNormStats:
		g := groupNorm(r.In[0], s.Groups, false, r.Out)
		g.eps = C.float(s.Eps)
		return scratch(C.call_group_norm_stats_workspace(d.ctx, &g), func(o operands) {
			C.call_group_norm_stats(d.ctx, &g, o.float(0), o.result(), o.workspace)
		})
	case op.GroupNorm:
		g := groupNorm(r.In[0], s.Groups, s.SiLU, r.Out)
		return &kernel{run: func(o operands) {
			C.call_group_norm(d.ctx, &g, o.float(0), o.float(1), o.float(2), o.float(3), o.out)
		}}
	case op.GroupNormGradSums:
		g := groupNorm(r.In[0], s.Groups, s.SiLU, r.In[4])
		return scratch(C.call_group_norm_grad_sums_workspace(d.ctx, &g), func(o operands) {
			C.call_group_norm_grad_sums(
				d.ctx, &g, o.float(0), o.float(1), o.float(2), o.float(3), o.in[4], o.result(), o.workspace)
		})
	case op.GroupNormGradInput:
		g := groupNorm(r.In[0], s.Groups, s.SiLU, r.In[4])
		return &kernel{run: func(o operands) {
			C.call_group_norm_grad_input(
				d.ctx, &g, o.float(0), o.float(1), o.float(2), o.float(3), o.in[4], o.float(5), o.result())
		}}
	case op.LayerNorm:
		l := layerNorm(r.In[0], s.Eps, r.Out)
		return &kernel{run: func(o operands) { C.call_layer_norm(d.ctx, &l, o.float(0), o.float(1), o.float(2), o.out) }}
	case op.LayerNormGradInput:
		l := layerNorm(r.In[0], s.Eps, r.In[2])
		return &kernel{run: func(o operands) {
			C.call_layer_norm_grad_input(d.ctx, &l, o.float(0), o.float(1), o.in[2], o.result())
		}}
	case op.LayerNormGradParams:
		l := layerNorm(r.In[0], s.Eps, r.In[1])
		return scratch(C.call_layer_norm_grad_params_workspace(d.ctx, &l), func(o operands) {
			C.call_layer_norm_grad_params(d.ctx, &l, o.float(0), o.in[1], o.result(), o.workspace)
		})
	}
	return nil
}

// samples and pixels count those of x [N,…,C].
func samples(x device.Operand) C.hd_n { return C.hd_n(x.Shape[0]) }
func pixels(x device.Operand) C.hd_n  { return rows(x) / samples(x) }

// groupNorm and layerNorm describe norms of x; y is the result, or its gradient.
func groupNorm(x device.Operand, groups int, silu bool, y device.Operand) C.hd_group_norm_shape {
	g := C.hd_group_norm_shape{n: samples(x), hw: pixels(x), c: channels(x), groups: C.hd_n(groups), _type: dtype(y.DType)}
	if silu {
		g.act = C.HD_ACT_SILU
	}
	return g
}

func layerNorm(x device.Operand, eps float64, y device.Operand) C.hd_layer_norm_shape {
	return C.hd_layer_norm_shape{m: rows(x), c: channels(x), eps: C.float(eps), _type: dtype(y.DType)}
}
