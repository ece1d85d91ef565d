//go:build gpu

package cuda

import (
	"slices"

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

// gemm multiplies a [m,k] by b [k,n], for each head of each of z matrices: by cuBLASLt where it can, else by a kernel of our own.
func (b *builder) gemm(left, right matrix, e epilogue, m, n, k, z, heads int) {
	p, finish := b.viaLibrary(left, right, e, m, n, k, z, heads)
	b.launch("gemm", [3]int{ceil(m, tile), ceil(n, tile), z}, threads, left.structure(), right.t().structure(), e.structure(), m, n, k, heads)
	if b.gemms++; b.err == nil {
		last := &b.launches[len(b.launches)-1]
		last.product, last.finish = p, finish
	}
}

// viaLibrary is gemm by cuBLASLt; nil where it can't. What its epilogue hasn't is done by finish in the output: activations, which are not
// quite ours there, and a residual of another element type than the output's.
func (b *builder) viaLibrary(left, right matrix, e epilogue, m, n, k, z, heads int) (p *product, finish *launch) {
	if b.device.lt.handle == nil {
		return nil, nil
	}
	plain := e
	plain.bias, plain.act = pointer{}, op.NoAct
	biased, apart := e.bias.from != nowhere, e.residual.from != nowhere && e.residual.bf16 != e.y.bf16
	if !apart && e.act == op.NoAct {
		bias := e.bias
		if biased && e.y.bf16 {
			bias = b.rounded(2, false).pointer
		}
		if p = b.product(left, right, plain, bias, m, n, k, z, heads); p != nil || !biased {
			return p, nil
		}
	}
	if z != 1 || e.y.row != n || e.y.col != 1 {
		return nil, nil
	}
	if apart {
		plain.residual = value{}
	} else {
		e.residual = value{}
	}
	if p = b.product(left, right, plain, pointer{}, m, n, k, z, heads); p == nil {
		return nil, nil
	}
	p.also = append(p.also, e.bias, e.residual.pointer)
	b.launch("product_finish", [3]int{blocks(ceil(m*n, 8)), 1, 1}, threads, e.y.value, e.bias, e.residual, m*n, n, e.act)
	if b.err != nil {
		return nil, nil
	}
	last := len(b.launches) - 1
	made := b.launches[last]
	b.launches = b.launches[:last]
	return p, &made
}

// weight is input 1 as it is multiplied: for cuBLASLt both factors are of one element type, so that beside bfloat16 features a weight is
// rounded to bfloat16.
func (b *builder) weight() value {
	if !b.rounds(1) {
		return b.in(1)
	}
	return b.rounded(1, true)
}

// weightRest is what rounding has left of input 1.
func (b *builder) weightRest() value {
	return b.halfOf(1, true, "product_rest", asBFloat16+", the rest")
}

// rounded is input i in bfloat16: once, if it is constant, else in each run. alone tells that Run reads nothing else of it.
func (b *builder) rounded(i int, alone bool) value {
	return b.halfOf(i, alone, "product_round", asBFloat16)
}

// halfOf is what a kernel makes of input i in bfloat16, as a layout that kernels share.
func (b *builder) halfOf(i int, alone bool, kernel, layout string) value {
	n, o := size(b.request.In[i]), b.request.In[i]
	if o.Const == nil || o.Identity == nil || b.request.LowMemory {
		return b.half(kernel, i)
	}
	if alone && !slices.Contains(b.unread, i) {
		b.unread = append(b.unread, i)
	}
	return value{b.copied(i, layout, 2*int64(n), func(b *builder, to pointer) {
		b.launch(kernel, [3]int{blocks(ceil(n, 8)), 1, 1}, threads, b.in(i).pointer, to, n)
	}), true}
}

// pointwise tells whether a convolution is a linear layer over the pixels, with the weight [in,out].
func pointwise(s op.Conv2D) bool { return s.ResizeH == 0 && pixelwise(s.Geometry) }

// pixelwise tells whether each output pixel is of one input pixel.
func pixelwise(g op.Geometry) bool {
	return g.KH == 1 && g.KW == 1 && g.Stride == 1 && g.Pad == (op.Padding{})
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
		b.gemm(byRows(b.in(0), k), byColumns(b.weight(), k), e, rows(r.In[0]), n, k, 1, 1)
	case op.LinearDataGrad:
		k := channels(r.In[0])
		e := epilogue{residual: b.optional(last, s.Residual), y: y, alpha: 1}
		b.gemm(byRows(b.in(0), k), byRows(b.weight(), n), e, rows(r.In[0]), n, k, 1, 1)
	case op.LinearWeightGrad:
		m := channels(r.In[1])
		b.gemm(byColumns(b.in(1), m), byRows(b.in(0), n), epilogue{y: y, alpha: 1}, m, n, rows(r.In[0]), 1, 1)
	case op.Conv2D:
		if k := channels(r.In[0]); pointwise(s) {
			e := epilogue{b.optional(2, s.Bias).pointer, b.optional(last, s.Residual), y, s.Act, 1}
			x := b.feature(0)
			b.exactly(e, b.splitWeight(b.splits(0, s.Residual)), func() { x = b.half("product_rest", 0) }, func(weight value, e epilogue) {
				b.gemm(byRows(x, k), byRows(weight, n), e, rows(r.Out), n, k, 1, 1)
			})
			return true
		}
		b.conv(s, byRows(b.in(1), n))
	case op.ConvDataGrad:
		e := epilogue{residual: b.optional(last, s.Residual), y: y, alpha: 1}
		if k := channels(r.In[0]); pixelwise(s.Geometry) {
			b.gemm(byRows(b.feature(0), k), byColumns(b.weight(), k), e, rows(r.Out), n, k, 1, 1)
			return true
		}
		b.algorithm = ownAlgorithm
		// Each of stride² phases has at most this many pixels.
		m := r.Out.Shape[0] * ceil(s.H, s.Stride) * ceil(s.W, s.Stride)
		b.launch("conv_data_grad", [3]int{ceil(m, tile), ceil(n, tile), s.Stride * s.Stride}, threads, b.in(0), b.in(1),
			walk(s.Geometry, s.H, s.W, channels(r.In[0]), s.H, s.W), e.structure(), r.Out.Shape[0], n)
	case op.ConvWeightGrad:
		x := r.In[0].Shape
		if m := x[3]; pixelwise(s.Geometry) {
			b.gemm(byColumns(b.feature(0), m), byRows(b.feature(1), n), epilogue{y: y, alpha: 1}, m, n, rows(r.In[1]), 1, 1)
			return true
		}
		b.algorithm = ownAlgorithm
		b.launch("conv_weight_grad", [3]int{ceil(size(r.Out)/n, tile), ceil(n, tile), 1}, threads, b.in(0), b.in(1),
			walk(s.Geometry, x[1], x[2], x[3], x[1], x[2]), epilogue{y: y, alpha: 1}.structure(), n, rows(r.In[1]))
	default:
		return false
	}
	return true
}

// conv launches our own convolution. weight [KH·KW·I,O] may lie in any order.
func (b *builder) conv(s op.Conv2D, weight matrix) {
	r := b.request
	x, m, n := r.In[0].Shape, rows(r.Out), channels(r.Out)
	h, w := s.Source(x)
	e := epilogue{b.optional(2, s.Bias).pointer, b.optional(len(r.In)-1, s.Residual), byRows(b.out(), n), s.Act, 1}
	b.algorithm = ownAlgorithm
	b.launch("conv", [3]int{ceil(m, tile), ceil(n, tile), 1}, threads, b.in(0), weight.value, weight.row, weight.col,
		walk(s.Geometry, x[1], x[2], x[3], h, w), e.structure(), m, n)
}

// walk is Walk of kernels/matmul.cuh: over images that lie in memory as h×w pixels of c channels and are read as if resized.
func walk(g op.Geometry, h, w, c, height, width int) structure {
	oh, ow := g.Out(height, width)
	return structure{
		h, w, c, height, width, oh, ow, g.KH, g.KW, g.Stride, g.Pad.Top, g.Pad.Left,
		float32(h) / float32(height), float32(w) / float32(width),
	}
}
