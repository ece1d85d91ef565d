package cpu

// #include "kernels.h"
import "C"

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compilePosterior(d *Device, r device.Request) (device.Kernel, error) {
	switch r.Spec.(type) {
	case op.PosteriorSample:
		p := posterior(r.In[0])
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_posterior_sample(d.ctx, &p, in[0], in[1], out)
			return nil
		}}, nil
	case op.PosteriorSampleGrad:
		p := posterior(r.In[0])
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_posterior_sample_grad(d.ctx, &p, in[0], in[1], in[2], out)
			return nil
		}}, nil
	case op.KLDivergence:
		p := posterior(r.In[0])
		return &kernel{
			workspace: int64(C.hd_posterior_kl_workspace(d.ctx, &p)),
			run: func(out device.Pointer, in []device.Pointer, ws device.Pointer) error {
				C.hd_posterior_kl(d.ctx, &p, in[0], (*C.float)(out), ws)
				return nil
			},
		}, nil
	case op.KLDivergenceGrad:
		p := posterior(r.In[0])
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_posterior_kl_grad(d.ctx, &p, in[0], *(*C.float)(in[1]), out)
			return nil
		}}, nil
	}
	return nil, nil
}

// posterior describes moments [N,…,2C].
func posterior(moments device.Operand) C.hd_posterior {
	return C.hd_posterior{
		n: samples(moments), m: rows(moments), c: channels(moments) / 2, _type: dtype(moments.DType),
		low: op.MinLogVariance, high: op.MaxLogVariance,
	}
}
