//go:build gpu

package cuda

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// A convolution is a product of matrices once the patches that its kernel sees lie side by side: cuBLASLt's, then. That costs a copy of KH·KW times
// the image, and is worth it where cuDNN does badly. On an H100, in bfloat16:
//
//   - weight gradients: cuDNN 9.14's with sums in float32 are wrong, and its others round the gradient to bfloat16;
//   - few tiles: it doesn't split sums, so that one of 8×8 pixels, 2560 → 1280 channels, takes 175 µs on ten multiprocessors;
//   - exact values, of shortcuts and downsamplers: in TF32, 10 ms for one of 64×64 pixels and 16 images.
//
// fewTiles is how many tiles of 128×128 a convolution may have to be done so. Patches of more than Options.Patches are made in parts, one after the
// other.
const fewTiles = 32

// patched launches convolutions for which patches are the better way; it tells whether this is one.
func patched(b *builder) bool {
	if b.device.lt.handle == nil {
		return false
	}
	r := b.request
	switch s := r.Spec.(type) {
	case op.Conv2D:
		m, n := rows(r.Out), channels(r.Out)
		few := ceil(m, 128)*ceil(n, 128) <= fewTiles
		exact := r.In[0].DType == device.Float32 && s.ResizeH == 0
		if b.device.patches < 0 || r.Features != device.BFloat16 || pointwise(s) || channels(r.In[0])%8 != 0 || !few && !exact {
			return false
		}
		h, w := s.Source(r.In[0].Shape)
		weight, residual := b.splitWeight(b.splits(0, s.Residual)), b.optional(len(r.In)-1, s.Residual)
		b.inPatches(s.Geometry, h, w, m, func(patches value, first, rows, terms int, again func()) {
			at := func(v value) value {
				if v.from == nowhere {
					return v
				}
				return v.plus(first * n)
			}
			e := epilogue{b.optional(2, s.Bias).pointer, at(residual), byRows(b.out().plus(first*n), n), s.Act, 1}
			b.exactly(e, weight, again, func(weight value, e epilogue) {
				b.gemm(byRows(patches, terms), byRows(weight, n), e, rows, n, terms, 1, 1)
			})
		})
	case op.ConvWeightGrad:
		if pixelwise(s.Geometry) {
			return false
		}
		n, x, dy := channels(r.Out), r.In[0].Shape, b.feature(1)
		b.inPatches(s.Geometry, x[1], x[2], rows(r.In[1]), func(patches value, first, rows, terms int, _ func()) {
			e := epilogue{y: byRows(b.out(), n), alpha: 1}
			if first > 0 {
				e.residual = b.out() // what the parts before have added up
			}
			b.gemm(byColumns(patches, terms), byRows(dy.plus(first*n), n), e, terms, n, rows, 1, 1)
		})
	default:
		return false
	}
	return true
}

// inPatches launches what makes the patches of input 0, read as if resized to h×w, for m output pixels, and use for each part of them. again
// puts in their place those of what rounding has left.
func (b *builder) inPatches(g op.Geometry, h, w, m int, use func(patches value, first, rows, terms int, again func())) {
	r := b.request
	x, as := r.In[0].Shape, r.In[0].DType
	if r.Features == device.BFloat16 {
		as = device.BFloat16
	}
	b.before = "patches, "
	terms := g.KH * g.KW * x[3]
	part := min(m, max(1, int(max(b.device.patches, 1<<20)/(int64(terms)*as.Size()))))
	if part < m {
		part = max(8, part/8*8) // so that parts begin at addresses that vectors can be read at
	}
	patches := b.scratchOf(part*terms, as)
	for first := 0; first < m; first += part {
		n := min(part, m-first)
		fill := func(rest bool) {
			b.launch("patches", [3]int{blocks(ceil(n*terms, 8)), 1, 1}, threads, b.in(0), patches, walk(g, x[1], x[2], x[3], h, w), first, n*terms, rest)
		}
		fill(false)
		use(patches, first, n, terms, func() { fill(true) })
	}
}

// feature is input i as products take it: in programs of bfloat16 an exact value is rounded, in each run.
func (b *builder) feature(i int) value {
	if !b.rounds(i) {
		return b.in(i)
	}
	return b.half("product_round", i)
}

// rounds tells whether products round input i: cuBLASLt's factors are of one element type.
func (b *builder) rounds(i int) bool {
	r := b.request
	bfloat16 := r.Features == device.BFloat16 || r.In[0].DType == device.BFloat16
	return b.device.lt.handle != nil && bfloat16 && r.In[i].DType == device.Float32
}

// splits tells whether the product is the residual stream itself, as in shortcuts and downsamplers: an exact result of exact values, to which
// nothing is added. There both factors are split into what rounding gives and what it leaves.
func (b *builder) splits(i int, residual bool) bool {
	return !residual && b.rounds(i) && b.request.Out.DType == device.Float32
}

// half launches a kernel that makes bfloat16 of input i.
func (b *builder) half(kernel string, i int) value {
	n := size(b.request.In[i])
	to := b.halves(n)
	b.launch(kernel, [3]int{blocks(ceil(n, 8)), 1, 1}, threads, b.in(i).pointer, to.pointer, n)
	return to
}

// exactly launches a product of a left factor with a weight, which is input 1. Where it is split, that is (x + x')·(w + w') without x'·w', which is
// beneath what float32 has of the sum; rest turns the left factor from what rounding gives into what it leaves. The U-Net's result in bfloat16
// is off by up to 1.8e-2 so, and by 2.1e-2 with rounded factors.
func (b *builder) exactly(e epilogue, w splitWeight, rest func(), multiply func(weight value, e epilogue)) {
	if !w.split {
		multiply(w.rounded, e)
		return
	}
	first, second := e, e
	first.bias, first.act = pointer{}, op.NoAct
	second.bias, second.act = pointer{}, op.NoAct
	second.residual, e.residual = e.y.value, e.y.value
	multiply(w.rounded, first)
	multiply(w.rest, second)
	rest()
	multiply(w.rounded, e)
}

// splitWeight is a weight rounded to bfloat16, and what that leaves of it.
type splitWeight struct {
	rounded, rest value
	split         bool
}

func (b *builder) splitWeight(split bool) splitWeight {
	w := splitWeight{rounded: b.weight(), split: split}
	if split {
		w.rest = b.weightRest()
	}
	return w
}
