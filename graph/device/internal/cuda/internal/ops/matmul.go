//go:build gpu

package ops

import (
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

// pointwise reports whether a convolution is a linear layer over the pixels, with the weight [in,out].
func pointwise(s op.Conv2D) bool { return s.ResizeH == 0 && pixelwise(s.Geometry) }

// pixelwise reports whether each output pixel depends on one input pixel.
func pixelwise(g op.Geometry) bool {
	return g.KH == 1 && g.KW == 1 && g.Stride == 1 && g.Pad == (op.Padding{})
}

func matmul(b *builder) bool {
	r := b.Request
	last := len(r.In) - 1
	n := width(r.Out)
	y := byRows(b.Out(), n)
	switch s := r.Spec.(type) {
	case op.Linear:
		k := channels(r.In[0])
		e := epilogue{b.Optional(2, s.Bias).Pointer, b.Optional(last, s.Residual), y, s.Act, 1}
		b.gemm(byRows(b.In(0), k), byColumns(b.weight(), k), e, extent{m: rows(r.In[0]), n: n, k: k})
	case op.LinearDataGrad:
		k := channels(r.In[0])
		e := epilogue{residual: b.Optional(last, s.Residual), y: y, alpha: 1}
		b.gemm(byRows(b.In(0), k), byRows(b.weight(), n), e, extent{m: rows(r.In[0]), n: n, k: k})
	case op.LinearWeightGrad:
		m := channels(r.In[1])
		b.gemm(byColumns(b.In(1), m), byRows(b.In(0), n), epilogue{y: y, alpha: 1}, extent{m: m, n: n, k: rows(r.In[0])})
	case op.Conv2D:
		if k := channels(r.In[0]); pointwise(s) {
			e := epilogue{b.Optional(2, s.Bias).Pointer, b.Optional(last, s.Residual), y, s.Act, 1}
			x := b.feature(0)
			rest := func() { x = b.half("product_rest", 0) }
			b.exactly(e, b.splitWeight(b.splits(0, s.Residual)), rest, func(weight launch.Value, e epilogue) {
				b.gemm(byRows(x, k), byRows(weight, n), e, extent{m: rows(r.Out), n: n, k: k})
			})
			return true
		}
		b.conv(s, byRows(b.In(1), n))
	case op.ConvDataGrad:
		e := epilogue{residual: b.Optional(last, s.Residual), y: y, alpha: 1}
		if k := channels(r.In[0]); pixelwise(s.Geometry) {
			b.gemm(byRows(b.feature(0), k), byColumns(b.weight(), k), e, extent{m: rows(r.Out), n: n, k: k})
			return true
		}
		b.Algorithm = ownAlgorithm
		// Each of stride² phases has at most this many pixels.
		m := r.Out.Shape[0] * ceil(s.H, s.Stride) * ceil(s.W, s.Stride)
		b.Launch("conv_data_grad", [3]int{ceil(m, kernels.Tile), ceil(n, kernels.Tile), s.Stride * s.Stride}, kernels.Threads,
			b.In(0), b.In(1), walk(s.Geometry, s.H, s.W, channels(r.In[0]), s.H, s.W), e.structure(), r.Out.Shape[0], n)
	case op.ConvWeightGrad:
		x := r.In[0].Shape
		if m := x[3]; pixelwise(s.Geometry) {
			e := epilogue{y: y, alpha: 1}
			b.gemm(byColumns(b.feature(0), m), byRows(b.feature(1), n), e, extent{m: m, n: n, k: rows(r.In[1])})
			return true
		}
		b.Algorithm = ownAlgorithm
		b.Launch("conv_weight_grad", [3]int{ceil(size(r.Out)/n, kernels.Tile), ceil(n, kernels.Tile), 1}, kernels.Threads,
			b.In(0), b.In(1), walk(s.Geometry, x[1], x[2], x[3], x[1], x[2]),
			epilogue{y: y, alpha: 1}.structure(), n, rows(r.In[1]))
	default:
		return false
	}
	return true
}

// conv launches our own convolution. weight [KH·KW·I,O] may be in any order.
func (b *builder) conv(s op.Conv2D, weight matrix) {
	r := b.Request
	x, m, n := r.In[0].Shape, rows(r.Out), channels(r.Out)
	h, w := s.Source(x)
	e := epilogue{b.Optional(2, s.Bias).Pointer, b.Optional(len(r.In)-1, s.Residual), byRows(b.Out(), n), s.Act, 1}
	b.Algorithm = ownAlgorithm
	b.Launch("conv", [3]int{ceil(m, kernels.Tile), ceil(n, kernels.Tile), 1}, kernels.Threads,
		b.In(0), weight.Value, weight.row, weight.col, walk(s.Geometry, x[1], x[2], x[3], h, w), e.structure(), m, n)
}

// walk is Walk of matmul.cu: over images stored as h×w pixels of c channels and are read as if resized.
func walk(g op.Geometry, h, w, c, height, width int) launch.Structure {
	oh, ow := g.Out(height, width)
	return launch.Structure{
		h, w, c, height, width, oh, ow, g.KH, g.KW, g.Stride, g.Pad.Top, g.Pad.Left,
		float32(h) / float32(height), float32(w) / float32(width),
	}
}
