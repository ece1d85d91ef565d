package cpu

// #include "kernels.h"
import "C"

import (
	"context"
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/parallel"
)

func compileOptimizer(d *Device, r device.Request) *kernel {
	switch s := r.Spec.(type) {
	case op.Accumulate:
		n := C.hd_n(op.Size(r.Out.Shape))
		return &kernel{run: func(o operands) {
			f := C.hd_map{op: C.HD_SCALE_ADD, alpha: 1, beta: *o.float(2), _type: C.HD_F32}
			C.call_map(d.ctx, &f, n, o.in[1], o.in[0], o.out)
		}}
	case op.AdamW:
		n := C.hd_n(op.Size(r.Out.Shape))
		return &kernel{run: func(o operands) {
			h := device.Slice[float32](o.in[4], 7)
			step := C.hd_adamw_step{
				lr: C.double(h[0]), beta1: 1 - C.double(h[1]), beta2: 1 - C.double(h[2]), eps: C.double(h[3]),
				weight_decay:     C.double(h[4]),
				bias_correction1: C.double(h[5]), bias_correction2_sqrt: C.double(h[6]), grad_scale: 1,
			}
			if s.Scaled {
				step.grad_scale = C.double(*o.float(5))
			}
			C.call_adamw(d.ctx, n, &step, o.float(0), o.float(1), o.float(2), o.float(3))
		}}
	case op.MovingAverage:
		return &kernel{run: func(o operands) {
			n := op.Size(r.Out.Shape)
			d.movingAverage(device.Slice[float32](o.in[0], n), device.Slice[float32](o.in[1], n), float32(*o.float(2)))
		}}
	case op.GlobalNorm:
		var workspace int64
		for _, x := range r.In {
			workspace = max(workspace, int64(C.call_sum_squares_workspace(d.ctx, C.hd_n(op.Size(x.Shape)))))
		}
		return &kernel{workspace: workspace, run: func(o operands) {
			var total C.double
			for i, x := range o.in {
				var sum C.double
				C.call_sum_squares(d.ctx, C.hd_n(op.Size(r.In[i].Shape)), (*C.float)(x), &sum, o.workspace)
				total += sum
			}
			*o.result() = C.float(math.Sqrt(float64(total)))
		}}
	case op.ClipScale:
		return &kernel{run: func(o operands) { *o.result() = C.float(s.Factor(float32(*o.float(0)))) }}
	}
	return nil
}

// movingAverage is in Go: a C compiler may fuse product and difference, which rounds once. Memory is the limit here.
func (d *Device) movingAverage(average, p []float32, weight float32) {
	const stretch = 1 << 18 // of a goroutine at a time
	_ = parallel.Each(context.Background(), (len(average)+stretch-1)/stretch, d.threads, func(i int) error {
		from, to := i*stretch, min((i+1)*stretch, len(average))
		a, p := average[from:to], p[from:to]
		for j, x := range a {
			a[j] = x - float32(weight*(x-p[j]))
		}
		return nil
	})
}
