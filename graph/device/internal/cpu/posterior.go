package cpu

// #include "kernels.h"
import "C"

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compilePosterior(d *Device, r device.Request) *kernel {
	switch r.Spec.(type) {
	case op.PosteriorSample:
		p := posterior(r.In[0])
		return &kernel{run: func(o operands) { C.call_posterior_sample(d.ctx, &p, o.in[0], o.in[1], o.out) }}
	case op.PosteriorSampleGrad:
		p := posterior(r.In[0])
		return &kernel{run: func(o operands) { C.call_posterior_sample_grad(d.ctx, &p, o.in[0], o.in[1], o.in[2], o.out) }}
	case op.KLDivergence:
		p := posterior(r.In[0])
		return scratch(C.call_posterior_kl_workspace(d.ctx, &p), func(o operands) {
			C.call_posterior_kl(d.ctx, &p, o.in[0], o.result(), o.workspace)
		})
	case op.KLDivergenceGrad:
		p := posterior(r.In[0])
		return &kernel{run: func(o operands) { C.call_posterior_kl_grad(d.ctx, &p, o.in[0], *o.float(1), o.out) }}
	}
	return nil
}

// posterior describes moments [N,…,2C].
func posterior(moments device.Operand) C.hd_posterior {
	return C.hd_posterior{
		n: samples(moments), m: rows(moments), c: channels(moments) / 2, _type: dtype(moments.DType),
		low: op.MinLogVariance, high: op.MaxLogVariance,
	}
}
