package cpu

// #include "kernels.h"
import "C"

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

func compileMatmul(d *Device, r device.Request) (device.Kernel, error) {
	switch s := r.Spec.(type) {
	case op.Linear:
		// The weight [out,in] is the right operand column by column.
		g := product(r.In[0], r.Out, rows(r.In[0]), channels(r.Out), channels(r.In[0]))
		g.b, g.ldb, g.act = C.HD_COLUMNS, g.k, activationOf(s.Act)
		return d.compileProduct(r, g, s.Bias, s.Residual)
	case op.LinearDataGrad:
		g := product(r.In[0], r.Out, rows(r.In[0]), channels(r.Out), channels(r.In[0]))
		g.b, g.ldb = C.HD_ROWS, g.n
		return d.compileProduct(r, g, false, s.Residual)
	case op.LinearWeightGrad:
		return d.compileWeightGrad(r, 1, 0), nil
	case op.Conv2D:
		if pointwise(s.Geometry) && s.ResizeH == 0 {
			g := product(r.In[0], r.Out, rows(r.In[0]), channels(r.Out), channels(r.In[0]))
			g.b, g.ldb, g.act = C.HD_ROWS, g.n, activationOf(s.Act)
			return d.compileProduct(r, g, s.Bias, s.Residual)
		}
		return d.compileConv(r, s)
	case op.ConvDataGrad:
		if pointwise(s.Geometry) {
			g := product(r.In[0], r.Out, rows(r.In[0]), channels(r.Out), channels(r.In[0]))
			g.b, g.ldb = C.HD_COLUMNS, g.k
			return d.compileProduct(r, g, false, s.Residual)
		}
		return d.compileConvDataGrad(r, s), nil
	case op.ConvWeightGrad:
		if pointwise(s.Geometry) {
			return d.compileWeightGrad(r, 0, 1), nil
		}
		return d.compileConvWeightGrad(r, s), nil
	case op.SumRows:
		m, n, t := rows(r.In[0]), channels(r.In[0]), dtype(r.In[0].DType)
		return scratch(C.call_column_sums_workspace(d.ctx, m, n), func(o operands) {
			C.call_column_sums(d.ctx, m, n, t, o.in[0], o.result(), o.workspace)
		}), nil
	}
	return nil, nil
}

// pointwise reports whether a convolution is a linear layer over the pixels.
func pointwise(g op.Geometry) bool {
	return g.KH == 1 && g.KW == 1 && g.Stride == 1 && g.Pad == (op.Padding{})
}

func activationOf(a op.Act) C.hd_act {
	return [...]C.hd_act{
		op.NoAct: C.HD_ACT_NONE, op.SiLU: C.HD_ACT_SILU, op.GELU: C.HD_ACT_GELU, op.QuickGELU: C.HD_ACT_QUICK_GELU,
		op.ReLU: C.HD_ACT_RELU,
	}[a]
}

// product is features [m,k] times a float32 weight, whose layout the caller sets.
func product(a, out device.Operand, m, n, k C.hd_n) C.hd_gemm {
	return C.hd_gemm{
		m: m, n: n, k: k, lda: k, ldc: n, ldr: n, a: C.HD_ROWS,
		a_type: dtype(a.DType), b_type: C.HD_F32, c_type: dtype(out.DType),
	}
}

// compileProduct is the kernel of in[0] times the weight in[1], with optional bias and residual.
func (d *Device) compileProduct(r device.Request, g C.hd_gemm, bias, residual bool) (device.Kernel, error) {
	k := &kernel{device: d}
	if w := r.In[1].Const; w != nil && !r.LowMemory {
		n := int64(C.call_gemm_packed_bytes(d.ctx, &g))
		var err error
		k.packed, err = d.pack(packKey{r.In[1].Identity, g.n, g.k, r.In[0].DType, int(g.b), 0}, n, func(p device.Pointer) {
			C.call_gemm_pack(d.ctx, &g, w, (*C.float)(p))
		})
		if err != nil {
			return nil, err
		}
		g.b = C.HD_PACKED
		k.algorithm = "packed"
	}
	k.workspace = int64(C.call_gemm_workspace(d.ctx, &g))
	k.run = func(o operands) {
		w := o.in[1]
		if k.packed != nil {
			w = k.packed.Ptr
		}
		C.call_gemm(d.ctx, &g, o.in[0], w, o.bias(bias), o.last(residual), o.out, o.workspace)
	}
	return k, nil
}

// bias is the optional third input; nil if it isn't there.
func (o operands) bias(there bool) *C.float {
	if !there {
		return nil
	}
	return o.float(2)
}

// compileWeightGrad is aᵀ·b of the inputs a [rows,M], number i, and b [rows,N], number j: [M,N].
func (d *Device) compileWeightGrad(r device.Request, i, j int) device.Kernel {
	a, b := r.In[i], r.In[j]
	m, n := channels(a), channels(b)
	g := C.hd_gemm{
		m: m, n: n, k: rows(a), lda: m, ldb: n, ldc: n, ldr: n, a: C.HD_COLUMNS, b: C.HD_ROWS,
		a_type: dtype(a.DType), b_type: dtype(b.DType), c_type: dtype(r.Out.DType),
	}
	return scratch(C.call_gemm_workspace(d.ctx, &g), func(o operands) {
		C.call_gemm(d.ctx, &g, o.in[i], o.in[j], nil, nil, o.out, o.workspace)
	})
}

// geometry describes a convolution over an image of h×w pixels; in is the type of the factors.
func geometry(g op.Geometry, n, h, w, c, o int, in, out device.DType) C.hd_conv {
	return C.hd_conv{
		n: C.hd_n(n), h: C.hd_n(h), w: C.hd_n(w), c: C.hd_n(c), sh: C.hd_n(h), sw: C.hd_n(w), o: C.hd_n(o),
		kh: C.hd_n(g.KH), kw: C.hd_n(g.KW), stride: C.hd_n(g.Stride),
		top: C.hd_n(g.Pad.Top), left: C.hd_n(g.Pad.Left), bottom: C.hd_n(g.Pad.Bottom), right: C.hd_n(g.Pad.Right),
		_type: dtype(in), out_type: dtype(out),
	}
}

// choose sets the algorithm by the cost model.
func (d *Device) choose(v *C.hd_conv, pass C.hd_conv_pass) string {
	v.algorithm = C.hd_conv_choose(v, pass, C.int(d.threads), d.ctx.k.native_bf16)
	return [...]string{
		C.HD_CONV_DIRECT: "direct", C.HD_CONV_TAPS: "taps", C.HD_CONV_F2: "winograd F(2×2)", C.HD_CONV_F4: "winograd F(4×4)",
	}[v.algorithm]
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

func (d *Device) compileConv(r device.Request, s op.Conv2D) (device.Kernel, error) {
	x, w := r.In[0].Shape, r.In[1]
	h, wd := s.Source(x)
	v := geometry(s.Geometry, x[0], h, wd, x[3], w.Shape[3], r.In[0].DType, r.Out.DType)
	v.sh, v.sw, v.act = C.hd_n(x[1]), C.hd_n(x[2]), activationOf(s.Act)
	k := &kernel{device: d}
	k.algorithm = d.choose(&v, C.HD_CONV_FORWARD)
	bytes := int64(C.call_conv_packed_bytes(d.ctx, &v))
	pack := w.Const != nil && !r.LowMemory && bytes > 0
	if pack {
		var err error
		k.packed, err = d.pack(packKey{
			w.Identity, v.o, v.c * v.kh * v.kw, r.In[0].DType, int(C.HD_PACKED),
			1 + int(v.algorithm),
		},
			bytes, func(p device.Pointer) {
				C.call_conv_pack(d.ctx, &v, (*C.float)(w.Const), (*C.float)(p))
			})
		if err != nil {
			return nil, err
		}
	}
	k.workspace = int64(C.call_conv_workspace(d.ctx, &v, flag(pack)))
	k.run = func(o operands) {
		weight, packed := o.in[1], device.Pointer(nil)
		if k.packed != nil {
			weight, packed = nil, k.packed.Ptr
		}
		C.call_conv(d.ctx, &v, o.in[0], (*C.float)(weight), (*C.float)(packed), o.bias(s.Bias), o.last(s.Residual),
			o.out, o.workspace)
	}
	return k, nil
}

func (d *Device) compileConvDataGrad(r device.Request, s op.ConvDataGrad) device.Kernel {
	dx, w := r.Out.Shape, r.In[1].Shape
	v := geometry(s.Geometry, dx[0], dx[1], dx[2], dx[3], w[3], r.In[0].DType, r.Out.DType)
	k := &kernel{algorithm: d.choose(&v, C.HD_CONV_DATA_GRAD)}
	k.workspace = int64(C.call_conv_data_grad_workspace(d.ctx, &v))
	k.run = func(o operands) {
		C.call_conv_data_grad(d.ctx, &v, o.in[0], o.float(1), o.last(s.Residual), o.out, o.workspace)
	}
	return k
}

func (d *Device) compileConvWeightGrad(r device.Request, s op.ConvWeightGrad) device.Kernel {
	x := r.In[0].Shape
	v := geometry(s.Geometry, x[0], x[1], x[2], x[3], r.Out.Shape[3], r.In[0].DType, r.Out.DType)
	k := &kernel{algorithm: d.choose(&v, C.HD_CONV_WEIGHT_GRAD)}
	k.workspace = int64(C.call_conv_weight_grad_workspace(d.ctx, &v))
	k.run = func(o operands) {
		C.call_conv_weight_grad(d.ctx, &v, o.in[0], o.in[1], o.result(), o.workspace)
	}
	return k
}
