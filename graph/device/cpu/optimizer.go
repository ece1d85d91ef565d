package cpu

// #include "kernels.h"
import "C"

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compileOptimizer(d *Device, r device.Request) (device.Kernel, error) {
	switch s := r.Spec.(type) {
	case op.Accumulate:
		n := C.long(op.Size(r.Out.Shape))
		return &kernel{run: func(total device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_scale_add(d.ctx, n, 1, in[1], C.float(*(*float32)(in[2])), in[0], total, C.HD_F32)
			return nil
		}}, nil
	case op.AdamW:
		n := C.long(op.Size(r.Out.Shape))
		return &kernel{run: func(_ device.Pointer, in []device.Pointer, _ device.Pointer) error {
			h := device.Slice[float32](in[4], 7)
			step := C.hd_adamw_step{
				lr: C.double(h[0]), beta1: 1 - C.double(h[1]), beta2: 1 - C.double(h[2]), eps: C.double(h[3]), weight_decay: C.double(h[4]),
				bias_correction1: C.double(h[5]), bias_correction2_sqrt: C.double(h[6]), grad_scale: 1,
			}
			if s.Scaled {
				step.grad_scale = C.double(*(*float32)(in[5]))
			}
			C.hd_adamw(d.ctx, n, &step, (*C.float)(in[0]), (*C.float)(in[1]), (*C.float)(in[2]), (*C.float)(in[3]), nil)
			return nil
		}}, nil
	case op.MovingAverage:
		return &kernel{run: func(_ device.Pointer, in []device.Pointer, _ device.Pointer) error {
			n := op.Size(r.Out.Shape)
			d.movingAverage(device.Slice[float32](in[0], n), device.Slice[float32](in[1], n), *(*float32)(in[2]))
			return nil
		}}, nil
	case op.GlobalNorm:
		var workspace int64
		for _, x := range r.In {
			workspace = max(workspace, int64(C.hd_sum_squares_workspace(d.ctx, C.long(op.Size(x.Shape)))))
		}
		return &kernel{workspace: workspace, run: func(out device.Pointer, in []device.Pointer, ws device.Pointer) error {
			var total C.double
			for i, x := range in {
				var sum C.double
				C.hd_sum_squares(d.ctx, C.long(op.Size(r.In[i].Shape)), (*C.float)(x), &sum, ws)
				total += sum
			}
			*(*float32)(out) = float32(math.Sqrt(float64(total)))
			return nil
		}}, nil
	case op.ClipScale:
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			*(*float32)(out) = s.Factor(*(*float32)(in[0]))
			return nil
		}}, nil
	}
	return nil, nil
}

// movingAverage is in Go, for a C compiler may round product and difference at once where the processor can. Memory is the limit here.
func (d *Device) movingAverage(average, p []float32, weight float32) {
	const stretch = 1 << 18 // of a goroutine at a time
	jobs := (len(average) + stretch - 1) / stretch
	part := func(i int) {
		from, to := i*stretch, min((i+1)*stretch, len(average))
		a, p := average[from:to], p[from:to]
		for j, x := range a {
			a[j] = x - float32(weight*(x-p[j]))
		}
	}
	if jobs == 1 {
		part(0)
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(d.threads, jobs) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < jobs; i = int(next.Add(1)) - 1 {
				part(i)
			}
		})
	}
	wg.Wait()
}
