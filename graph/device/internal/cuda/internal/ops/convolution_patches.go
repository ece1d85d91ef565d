//go:build gpu

package ops

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

// A convolution is a product of matrices, cuBLASLt's, once the patches that its kernel sees are next to each other
// (im2col). That costs a copy of KH·KW times the image, and is worth it where cuDNN does badly. On an H100, in
// bfloat16:
//
//   - weight gradients: cuDNN 9.14's with sums in float32 are wrong, and its others round the gradient to bfloat16;
//   - few tiles: it doesn't split sums, so that 8×8 pixels, 2560 → 1280 channels, take 175 µs on ten multiprocessors;
//   - exact values, of shortcuts and downsamplers: in TF32, 10 ms for one of 64×64 pixels and 16 images.
//
// fewTiles is how many tiles of 128×128 a convolution may have to be done so. Patches of more than Limits.Patches are
// made in parts, one after the other.
const fewTiles = 32

// patched launches convolutions for which patches are the better way. It reports whether this is one.
func patched(b *builder) bool {
	if b.gpu.lt == nil {
		return false
	}
	r := b.Request
	switch s := r.Spec.(type) {
	case op.Conv2D:
		m, n := rows(r.Out), channels(r.Out)
		few := ceil(m, 128)*ceil(n, 128) <= fewTiles
		exact := r.In[0].DType == device.Float32 && s.ResizeH == 0
		able := r.Features == device.BFloat16 && !pointwise(s) && channels(r.In[0])%8 == 0
		if b.gpu.Limits.Patches < 0 || !able || !few && !exact {
			return false
		}
		h, w := s.Source(r.In[0].Shape)
		weight, residual := b.splitWeight(b.splits(0, s.Residual)), b.Optional(len(r.In)-1, s.Residual)
		b.inPatches(s.Geometry, h, w, m, func(patches launch.Value, first, rows, terms int, again func()) {
			at := func(v launch.Value) launch.Value {
				if v.IsNil() {
					return v
				}
				return v.Plus(first * n)
			}
			e := epilogue{b.Optional(2, s.Bias).Pointer, at(residual), byRows(b.Out().Plus(first*n), n), s.Act, 1}
			b.exactly(e, weight, again, func(weight launch.Value, e epilogue) {
				b.gemm(byRows(patches, terms), byRows(weight, n), e, extent{m: rows, n: n, k: terms})
			})
		})
	case op.ConvWeightGrad:
		if pixelwise(s.Geometry) {
			return false
		}
		n, x, dy := channels(r.Out), r.In[0].Shape, b.feature(1)
		b.inPatches(s.Geometry, x[1], x[2], rows(r.In[1]), func(patches launch.Value, first, rows, terms int, _ func()) {
			e := epilogue{y: byRows(b.Out(), n), alpha: 1}
			if first > 0 {
				e.residual = b.Out() // what the parts before have added up
			}
			b.gemm(byColumns(patches, terms), byRows(dy.Plus(first*n), n), e, extent{m: terms, n: n, k: rows})
		})
	default:
		return false
	}
	return true
}

// inPatches launches what makes the patches of input 0, read as if resized to h×w, for m output pixels, and use for
// each part of them. again replaces them by those of what rounding has left.
func (b *builder) inPatches(
	g op.Geometry, h, w, m int, use func(patches launch.Value, first, rows, terms int, again func()),
) {
	r := b.Request
	x, as := r.In[0].Shape, r.In[0].DType
	if r.Features == device.BFloat16 {
		as = device.BFloat16
	}
	b.prefix = "patches, "
	terms := g.KH * g.KW * x[3]
	part := min(m, max(1, int(max(b.gpu.Limits.Patches, 1<<20)/(int64(terms)*as.Size()))))
	if part < m {
		part = max(8, part/8*8) // so that parts begin at addresses that vectors can be read at
	}
	patches := b.ScratchOf(part*terms, as)
	for first := 0; first < m; first += part {
		n := min(part, m-first)
		fill := func(rest bool) {
			b.Eights("patches", n*terms,
				b.In(0), patches, walk(g, x[1], x[2], x[3], h, w), first, n*terms, rest)
		}
		fill(false)
		use(patches, first, n, terms, func() { fill(true) })
	}
}

// exactly launches a product of a left factor with a weight, which is input 1. Where the weight is split, that is (x
// + x')·(w + w') without x'·w', which is beneath what float32 has of the sum; rest turns the left factor from its
// rounding into the remainder. The U-Net's result in bfloat16 is off by up to 1.8e-2 so, and by 2.1e-2 with rounded
// factors.
func (b *builder) exactly(e epilogue, w splitWeight, rest func(), multiply func(weight launch.Value, e epilogue)) {
	if !w.split {
		multiply(w.rounded, e)
		return
	}
	first, second := e, e
	first.bias, first.act = launch.Pointer{}, op.NoAct
	second.bias, second.act = launch.Pointer{}, op.NoAct
	second.residual, e.residual = e.y.Value, e.y.Value
	multiply(w.rounded, first)
	multiply(w.rest, second)
	rest()
	multiply(w.rounded, e)
}
