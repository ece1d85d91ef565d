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
		weight, residual := b.weight(), b.optional(len(r.In)-1, s.Residual)
		b.inPatches(s.Geometry, h, w, m, func(patches value, first, rows, terms int) {
			e := epilogue{b.optional(2, s.Bias).pointer, residual, byRows(b.out().plus(first*n), n), s.Act, 1}
			if s.Residual {
				e.residual = residual.plus(first * n)
			}
			b.gemm(byRows(patches, terms), byRows(weight, n), e, rows, n, terms, 1, 1)
		})
	case op.ConvWeightGrad:
		if pixelwise(s.Geometry) {
			return false
		}
		n, x, dy := channels(r.Out), r.In[0].Shape, b.feature(1)
		b.inPatches(s.Geometry, x[1], x[2], rows(r.In[1]), func(patches value, first, rows, terms int) {
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

// inPatches launches what makes the patches of input 0, read as if resized to h×w, for m output pixels, and use for each part of them.
func (b *builder) inPatches(g op.Geometry, h, w, m int, use func(patches value, first, rows, terms int)) {
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
		b.launch("patches", [3]int{blocks(ceil(n*terms, 8)), 1, 1}, threads, b.in(0), patches, walk(g, x[1], x[2], x[3], h, w), first, n*terms)
		use(patches, first, n, terms)
	}
}

// feature is input i as products take it: in programs of bfloat16 an exact value is rounded, in each run.
func (b *builder) feature(i int) value {
	o := b.request.In[i]
	if b.device.lt.handle == nil || b.request.Features != device.BFloat16 || o.DType != device.Float32 {
		return b.in(i)
	}
	to := b.halves(size(o))
	b.launch("product_round", [3]int{blocks(ceil(size(o), 8)), 1, 1}, threads, b.in(i).pointer, to.pointer, size(o))
	return to
}
