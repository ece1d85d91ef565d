package cpu

// #include "kernels.h"
import "C"

import (
	"fmt"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compileElementwise(d *Device, r device.Request) *kernel {
	t := dtype(r.Out.DType)
	size := C.hd_n(op.Size(r.Out.Shape))
	switch s := r.Spec.(type) {
	case op.Activation:
		return d.mapping(size, C.hd_map{op: C.HD_ACTIVATION, act: activationOf(s.Act), _type: t})
	case op.ActivationGrad:
		return d.mapping(size, C.hd_map{op: C.HD_ACTIVATION_GRAD, act: activationOf(s.Act), _type: t})
	case op.GEGLU:
		m, f := rows(r.Out), channels(r.Out)
		return &kernel{run: func(o operands) { C.call_geglu(d.ctx, m, f, o.in[0], o.out, t) }}
	case op.GEGLUGrad:
		m, f := rows(r.In[1]), channels(r.In[1])
		return &kernel{run: func(o operands) { C.call_geglu_grad(d.ctx, m, f, o.in[0], o.in[1], o.out, t) }}
	case op.Add:
		return d.mapping(size, C.hd_map{op: C.HD_ADD, _type: t})
	case op.Mul:
		return d.mapping(size, C.hd_map{op: C.HD_MUL, _type: t})
	case op.Scale:
		return d.mapping(size, C.hd_map{op: C.HD_SCALE, alpha: C.float(s.Factor), _type: t})
	case op.Cast:
		from := dtype(r.In[0].DType)
		return &kernel{run: func(o operands) { C.call_convert(d.ctx, size, o.in[0], from, o.out, t) }}
	case op.AddChannels:
		n, hw, c := samples(r.Out), pixels(r.Out), channels(r.Out)
		return &kernel{run: func(o operands) { C.call_add_rows(d.ctx, n, hw, c, o.in[0], o.in[1], t, o.out, t) }}
	case op.SumPixels:
		n, hw, c := samples(r.In[0]), pixels(r.In[0]), channels(r.In[0])
		return scratch(C.call_sum_rows_workspace(d.ctx, n, hw, c), func(o operands) {
			C.call_sum_rows(d.ctx, n, hw, c, o.in[0], t, o.out, t, o.workspace)
		})
	case op.AddBatch:
		n := samples(r.Out)
		return &kernel{run: func(o operands) { C.call_add_rows(d.ctx, 1, n, size/n, o.in[0], o.in[1], C.HD_F32, o.out, t) }}
	case op.SumBatch:
		n, from := samples(r.In[0]), dtype(r.In[0].DType)
		return scratch(C.call_sum_rows_workspace(d.ctx, 1, n, size), func(o operands) {
			C.call_sum_rows(d.ctx, 1, n, size, o.in[0], from, o.out, C.HD_F32, o.workspace)
		})
	case op.MSE:
		n, from := samples(r.In[0]), dtype(r.In[0].DType)
		per := C.hd_n(op.Size(r.In[0].Shape)) / n
		return scratch(C.call_mse_workspace(d.ctx, n, per), func(o operands) {
			C.call_mse(d.ctx, n, per, o.in[0], o.in[1], o.last(s.Weighted), o.result(), from, o.workspace)
		})
	case op.MSEGrad:
		n := samples(r.Out)
		return &kernel{run: func(o operands) {
			C.call_mse_grad(d.ctx, n, size/n, o.in[0], o.in[1], o.last(s.Weighted), *o.float(2), o.out, t)
		}}
	case op.Upsample:
		x := r.In[0].Shape
		n, h, w, c := C.hd_n(x[0]), C.hd_n(x[1]), C.hd_n(x[2]), C.hd_n(x[3])
		return &kernel{run: func(o operands) {
			C.call_upsample_nearest(d.ctx, n, h, w, C.hd_n(s.H), C.hd_n(s.W), c, o.in[0], o.out, t)
		}}
	case op.UpsampleGrad:
		dy := r.In[0].Shape
		n, h, w, c := C.hd_n(dy[0]), C.hd_n(dy[1]), C.hd_n(dy[2]), C.hd_n(dy[3])
		return &kernel{run: func(o operands) {
			C.call_upsample_nearest_grad(d.ctx, n, C.hd_n(s.H), C.hd_n(s.W), h, w, c, o.in[0], o.out, t)
		}}
	case op.Concat:
		return d.compileConcat(r, s)
	case op.Slice:
		outer, inner := split(r.Out, s.Axis)
		from, to := inner*C.hd_n(r.In[0].Shape[s.Axis]), inner*C.hd_n(s.Length)
		at := int64(s.Offset) * int64(inner) * r.Out.DType.Size()
		return &kernel{run: func(o operands) {
			C.call_copy_rows(d.ctx, outer, to, move(o.in[0], at), from, o.out, to, t)
		}}
	case op.ZeroPad:
		outer, inner := split(r.Out, s.Axis)
		width, whole := inner*C.hd_n(r.In[0].Shape[s.Axis]), inner*C.hd_n(s.Size)
		before := inner * C.hd_n(s.Before)
		after := whole - before - width
		bytes := r.Out.DType.Size()
		return &kernel{run: func(o operands) {
			if before > 0 {
				C.call_copy_rows(d.ctx, outer, before, nil, whole, o.out, whole, t)
			}
			C.call_copy_rows(d.ctx, outer, width, o.in[0], width, move(o.out, int64(before)*bytes), whole, t)
			if after > 0 {
				C.call_copy_rows(d.ctx, outer, after, nil, whole, move(o.out, int64(before+width)*bytes), whole, t)
			}
		}}
	case op.Embedding:
		n, vocabulary, c := op.Size(r.In[0].Shape), r.In[1].Shape[0], channels(r.Out)
		return &kernel{
			check: func(o operands) error { return checkIDs(device.Slice[int32](o.in[0], n), vocabulary) },
			run: func(o operands) {
				C.call_embedding(d.ctx, C.hd_n(n), c, (*C.int32_t)(o.in[0]), o.float(1), o.out, t)
			},
		}
	case op.TimestepEmbedding:
		n := op.Size(r.In[0].Shape)
		host := make([]float32, s.Channels)
		return &kernel{run: func(o operands) {
			for i, step := range device.Slice[float32](o.in[0], n) {
				s.Embed(host, step)
				row := move(o.out, int64(i*s.Channels)*r.Out.DType.Size())
				C.call_convert(d.ctx, C.hd_n(s.Channels), device.Pointer(&host[0]), C.HD_F32, row, t)
			}
		}}
	}
	return nil
}

// mapping computes a function of the elements of one or two inputs.
func (d *Device) mapping(n C.hd_n, f C.hd_map) *kernel {
	return &kernel{run: func(o operands) { C.call_map(d.ctx, &f, n, o.in[0], o.in[len(o.in)-1], o.out) }}
}

// split returns the products of the sizes before and after an axis.
func split(o device.Operand, axis int) (outer, inner C.hd_n) {
	return C.hd_n(op.Size(o.Shape[:axis])), C.hd_n(op.Size(o.Shape[axis+1:]))
}

func (d *Device) compileConcat(r device.Request, s op.Concat) *kernel {
	outer, inner := split(r.Out, s.Axis)
	whole := inner * C.hd_n(r.Out.Shape[s.Axis])
	t, bytes := dtype(r.Out.DType), r.Out.DType.Size()
	return &kernel{run: func(o operands) {
		at := C.hd_n(0)
		for i, p := range o.in {
			width := inner * C.hd_n(r.In[i].Shape[s.Axis])
			C.call_copy_rows(d.ctx, outer, width, p, width, move(o.out, int64(at)*bytes), whole, t)
			at += width
		}
	}}
}

func checkIDs(ids []int32, vocabulary int) error {
	for i, id := range ids {
		if id < 0 || int(id) >= vocabulary {
			return fmt.Errorf("id %d at %d: want one in [0,%d)", id, i, vocabulary)
		}
	}
	return nil
}
