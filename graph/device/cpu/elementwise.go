package cpu

// #include "kernels.h"
import "C"

import (
	"fmt"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compileElementwise(d *Device, r device.Request) (device.Kernel, error) {
	t := dtype(r.Out.DType)
	size := C.long(op.Size(r.Out.Shape))
	switch s := r.Spec.(type) {
	case op.Activation:
		act := activationOf(s.Act)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_activation(d.ctx, size, in[0], out, act, t)
			return nil
		}}, nil
	case op.ActivationGrad:
		act := activationOf(s.Act)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_activation_grad(d.ctx, size, in[0], in[1], out, act, t)
			return nil
		}}, nil
	case op.GEGLU:
		m, f := rows(r.Out), channels(r.Out)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_geglu(d.ctx, m, f, in[0], out, t)
			return nil
		}}, nil
	case op.GEGLUGrad:
		m, f := rows(r.In[1]), channels(r.In[1])
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_geglu_grad(d.ctx, m, f, in[0], in[1], out, t)
			return nil
		}}, nil
	case op.Add:
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_add(d.ctx, size, in[0], in[1], out, t)
			return nil
		}}, nil
	case op.Mul:
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_mul(d.ctx, size, in[0], in[1], out, t)
			return nil
		}}, nil
	case op.Scale:
		factor := C.float(s.Factor)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_scale_add(d.ctx, size, factor, in[0], 0, nil, out, t)
			return nil
		}}, nil
	case op.Cast:
		from := dtype(r.In[0].DType)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_convert(d.ctx, size, in[0], from, out, t)
			return nil
		}}, nil
	case op.AddChannels:
		n, hw, c := samples(r.Out), pixels(r.Out), channels(r.Out)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_add_channels(d.ctx, n, hw, c, in[0], in[1], out, t)
			return nil
		}}, nil
	case op.SumPixels:
		n, hw, c := samples(r.In[0]), pixels(r.In[0]), channels(r.In[0])
		return &kernel{
			workspace: int64(C.hd_reduce_hw_workspace(d.ctx, n, hw, c)),
			run: func(out device.Pointer, in []device.Pointer, ws device.Pointer) error {
				C.hd_reduce_hw(d.ctx, n, hw, c, in[0], out, t, ws)
				return nil
			},
		}, nil
	case op.AddBatch:
		n := samples(r.Out)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_add_rows(d.ctx, n, size/n, in[0], (*C.float)(in[1]), out, t)
			return nil
		}}, nil
	case op.SumBatch:
		n, from := samples(r.In[0]), dtype(r.In[0].DType)
		return &kernel{
			workspace: int64(C.hd_reduce_batch_workspace(d.ctx, n, size)),
			run: func(out device.Pointer, in []device.Pointer, ws device.Pointer) error {
				C.hd_reduce_batch(d.ctx, n, size, in[0], (*C.float)(out), from, ws)
				return nil
			},
		}, nil
	case op.MSE:
		n := samples(r.In[0])
		per := C.long(op.Size(r.In[0].Shape)) / n
		from := dtype(r.In[0].DType)
		return &kernel{
			workspace: int64(C.hd_mse_workspace(d.ctx, n, per)),
			run: func(out device.Pointer, in []device.Pointer, ws device.Pointer) error {
				C.hd_mse(d.ctx, n, per, in[0], in[1], weights(s.Weighted, in), (*C.float)(out), from, ws)
				return nil
			},
		}, nil
	case op.MSEGrad:
		n := samples(r.Out)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_mse_grad(d.ctx, n, size/n, in[0], in[1], weights(s.Weighted, in), *(*C.float)(in[2]), out, t)
			return nil
		}}, nil
	case op.Upsample:
		x := r.In[0].Shape
		n, h, w, c := C.long(x[0]), C.long(x[1]), C.long(x[2]), C.long(x[3])
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_upsample_nearest(d.ctx, n, h, w, C.long(s.H), C.long(s.W), c, in[0], out, t)
			return nil
		}}, nil
	case op.UpsampleGrad:
		dy := r.In[0].Shape
		n, h, w, c := C.long(dy[0]), C.long(dy[1]), C.long(dy[2]), C.long(dy[3])
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_upsample_nearest_grad(d.ctx, n, C.long(s.H), C.long(s.W), h, w, c, in[0], out, t)
			return nil
		}}, nil
	case op.Concat:
		return d.compileConcat(r, s), nil
	case op.Slice:
		outer, inner := split(r.Out, s.Axis)
		from := r.In[0].Shape[s.Axis]
		at := int64(s.Offset) * int64(inner) * r.Out.DType.Size()
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			C.hd_copy_rows(d.ctx, outer, inner*C.long(s.Length), move(in[0], at), inner*C.long(from), out, inner*C.long(s.Length), t)
			return nil
		}}, nil
	case op.ZeroPad:
		outer, inner := split(r.Out, s.Axis)
		width, whole := inner*C.long(r.In[0].Shape[s.Axis]), inner*C.long(s.Size)
		before := inner * C.long(s.Before)
		after := whole - before - width
		bytes := r.Out.DType.Size()
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			if before > 0 {
				C.hd_zero_rows(d.ctx, outer, before, out, whole, t)
			}
			C.hd_copy_rows(d.ctx, outer, width, in[0], width, move(out, int64(before)*bytes), whole, t)
			if after > 0 {
				C.hd_zero_rows(d.ctx, outer, after, move(out, int64(before+width)*bytes), whole, t)
			}
			return nil
		}}, nil
	case op.Embedding:
		n := op.Size(r.In[0].Shape)
		vocabulary, c := r.In[1].Shape[0], channels(r.Out)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			if err := checkIDs(in[0], n, vocabulary); err != nil {
				return err
			}
			C.hd_embedding(d.ctx, C.long(n), c, (*C.int32_t)(in[0]), (*C.float)(in[1]), out, t)
			return nil
		}}, nil
	case op.EmbeddingGrad:
		n, c, from := op.Size(r.In[0].Shape), channels(r.Out), dtype(r.In[1].DType)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			if err := checkIDs(in[0], n, s.Rows); err != nil {
				return err
			}
			C.hd_embedding_grad(d.ctx, C.long(n), C.long(s.Rows), c, (*C.int32_t)(in[0]), in[1], (*C.float)(out), from)
			return nil
		}}, nil
	case op.TimestepEmbedding:
		n := op.Size(r.In[0].Shape)
		host := make([]float32, s.Channels)
		return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
			for i, step := range device.Slice[float32](in[0], n) {
				s.Embed(host, step)
				row := move(out, int64(i*s.Channels)*r.Out.DType.Size())
				C.hd_convert(d.ctx, C.long(s.Channels), device.Pointer(&host[0]), C.HD_F32, row, t)
			}
			return nil
		}}, nil
	}
	return nil, nil
}

// weights are the last input of a weighted loss.
func weights(weighted bool, in []device.Pointer) *C.float {
	if !weighted {
		return nil
	}
	return (*C.float)(in[len(in)-1])
}

// split returns the product of the sizes before an axis and behind it.
func split(o device.Operand, axis int) (outer, inner C.long) {
	return C.long(op.Size(o.Shape[:axis])), C.long(op.Size(o.Shape[axis+1:]))
}

func (d *Device) compileConcat(r device.Request, s op.Concat) device.Kernel {
	outer, inner := split(r.Out, s.Axis)
	whole := inner * C.long(r.Out.Shape[s.Axis])
	t, bytes := dtype(r.Out.DType), r.Out.DType.Size()
	return &kernel{run: func(out device.Pointer, in []device.Pointer, _ device.Pointer) error {
		at := C.long(0)
		for i, p := range in {
			width := inner * C.long(r.In[i].Shape[s.Axis])
			C.hd_copy_rows(d.ctx, outer, width, p, width, move(out, int64(at)*bytes), whole, t)
			at += width
		}
		return nil
	}}
}

func checkIDs(p device.Pointer, n, vocabulary int) error {
	for i, id := range device.Slice[int32](p, n) {
		if id < 0 || int(id) >= vocabulary {
			return fmt.Errorf("id %d at %d: want one in [0,%d)", id, i, vocabulary)
		}
	}
	return nil
}
