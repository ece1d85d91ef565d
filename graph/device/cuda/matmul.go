//go:build gpu

package cuda

import (
	"github.com/histdist/histdist/graph/op"
)

// matrix is Matrix of kernels/matmul.cuh: element (i,j) lies at i·row + j·col, for each head of each sample.
type matrix struct {
	value
	row, col, sample, head int
}

func (m matrix) structure() structure { return structure{m.value, m.row, m.col, m.sample, m.head} }

// epilogue is Epilogue there: act(alpha·product + bias + residual).
type epilogue struct {
	bias     pointer
	residual value
	y        matrix
	act      op.Act
	alpha    float32
}

func (e epilogue) structure() structure {
	return structure{e.bias, e.residual, e.y.value, e.y.row, e.y.col, e.y.sample, e.y.head, e.act, e.alpha}
}

// gemm multiplies a [m,k] by b [k,n], for each head of each of z matrices.
func (b *builder) gemm(left, right matrix, e epilogue, m, n, k, z, heads int) {
	b.launch("gemm", [3]int{ceil(m, tile), ceil(n, tile), z}, threads, left.structure(), right.t().structure(), e.structure(), m, n, k, heads)
}

// byRows is a matrix whose rows of n elements lie one behind the other, and byColumns the transposed of one.
func byRows(v value, n int) matrix    { return matrix{value: v, row: n, col: 1} }
func byColumns(v value, n int) matrix { return matrix{value: v, row: 1, col: n} }

func matmul(b *builder) bool {
	r := b.request
	last := len(r.In) - 1
	n := width(r.Out)
	y := byRows(b.out(), n)
	switch s := r.Spec.(type) {
	case op.Linear:
		k := channels(r.In[0])
		e := epilogue{b.optional(2, s.Bias).pointer, b.optional(last, s.Residual), y, s.Act, 1}
		b.gemm(byRows(b.in(0), k), byColumns(b.in(1), k), e, rows(r.In[0]), n, k, 1, 1)
	case op.LinearDataGrad:
		k := channels(r.In[0])
		e := epilogue{residual: b.optional(last, s.Residual), y: y, alpha: 1}
		b.gemm(byRows(b.in(0), k), byRows(b.in(1), n), e, rows(r.In[0]), n, k, 1, 1)
	case op.LinearWeightGrad:
		m := channels(r.In[1])
		b.gemm(byColumns(b.in(1), m), byRows(b.in(0), n), epilogue{y: y, alpha: 1}, m, n, rows(r.In[0]), 1, 1)
	case op.Conv2D:
		x := r.In[0].Shape
		h, w := s.Source(x)
		e := epilogue{b.optional(2, s.Bias).pointer, b.optional(last, s.Residual), y, s.Act, 1}
		m := rows(r.Out)
		b.launch("conv", [3]int{ceil(m, tile), ceil(n, tile), 1}, threads, b.in(0), b.in(1), walk(s.Geometry, x[1], x[2], x[3], h, w), e.structure(), m, n)
	case op.ConvDataGrad:
		e := epilogue{residual: b.optional(last, s.Residual), y: y, alpha: 1}
		// Each of stride² phases has at most this many pixels.
		m := r.Out.Shape[0] * ceil(s.H, s.Stride) * ceil(s.W, s.Stride)
		b.launch("conv_data_grad", [3]int{ceil(m, tile), ceil(n, tile), s.Stride * s.Stride}, threads, b.in(0), b.in(1),
			walk(s.Geometry, s.H, s.W, channels(r.In[0]), s.H, s.W), e.structure(), r.Out.Shape[0], n)
	case op.ConvWeightGrad:
		x := r.In[0].Shape
		b.launch("conv_weight_grad", [3]int{ceil(size(r.Out)/n, tile), ceil(n, tile), 1}, threads, b.in(0), b.in(1),
			walk(s.Geometry, x[1], x[2], x[3], x[1], x[2]), epilogue{y: y, alpha: 1}.structure(), n, rows(r.In[1]))
	default:
		return false
	}
	return true
}

// walk is Walk of kernels/matmul.cuh: over images that lie in memory as h×w pixels of c channels and are read as if resized.
func walk(g op.Geometry, h, w, c, height, width int) structure {
	oh, ow := g.Out(height, width)
	return structure{
		h, w, c, height, width, oh, ow, g.KH, g.KW, g.Stride, g.Pad.Top, g.Pad.Left,
		float32(h) / float32(height), float32(w) / float32(width),
	}
}
