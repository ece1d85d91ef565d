//go:build gpu

package cuda

import (
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// implicitTile is a Shape of kernels/implicit.cu.
type implicitTile struct {
	name                  string
	size, threads, stages int
}

var (
	implicitLarge = implicitTile{"implicit_large", 128, 256, 3}
	implicitSmall = implicitTile{"implicit_small", 64, 128, 4}
)

// implicitDepth is how many terms of the sums are one step.
const implicitDepth = 32

// tiles is how many tiles an output [m,n] has.
func (t implicitTile) tiles(m, n int) int { return ceil(m, t.size) * ceil(n, t.size) }

// shared is the shared memory of the stages, in bytes: PITCH of kernels/mma.cuh is the distance of rows.
func (t implicitTile) shared() int {
	pitch := func(d int) int { return (d/8 | 1) * 8 }
	return 2 * t.stages * (t.size*pitch(implicitDepth) + implicitDepth*pitch(t.size))
}

// The parts of a sum: as many as it takes to fill an H100, each of at least so many steps. They are the same on every GPU, and so are the sums.
const (
	implicitBlocks = 2 * 132
	implicitSteps  = 8
)

// implicit launches a convolution, or its gradient with respect to the image, on tensor cores; it tells whether it can.
func implicit(b *builder) bool {
	r := b.request
	if r.In[0].DType != device.BFloat16 {
		return false
	}
	switch s := r.Spec.(type) {
	case op.Conv2D:
		if b.device.lt.handle != nil && pointwise(s) {
			return false
		}
		h, w := s.Source(r.In[0].Shape)
		return b.implicit(s.Geometry, h, w, b.optional(2, s.Bias).pointer, s.Residual, s.Act, func() value {
			if b.in(1).bf16 {
				return b.in(1)
			}
			return b.rounded(1, true)
		})
	case op.ConvDataGrad:
		if s.Stride != 1 || b.device.lt.handle != nil && pixelwise(s.Geometry) {
			return false
		}
		g := s.Geometry
		g.Pad = op.Padding{Top: g.KH - 1 - g.Pad.Top, Bottom: g.KH - 1 - g.Pad.Bottom, Left: g.KW - 1 - g.Pad.Left, Right: g.KW - 1 - g.Pad.Right}
		dy := r.In[0].Shape
		return b.implicit(g, dy[1], dy[2], pointer{}, s.Residual, op.NoAct, func() value { return b.turned(1, g.KH*g.KW) })
	}
	return false
}

// implicit launches a convolution of input 0, which is read as if resized to h×w, with a weight [kh,kw,in,out] of bfloat16.
func (b *builder) implicit(g op.Geometry, h, w int, bias pointer, residual bool, act op.Act, weight func() value) bool {
	r := b.request
	x, m, n := r.In[0].Shape, rows(r.Out), channels(r.Out)
	terms := g.KH * g.KW * x[3]
	if x[3]%8 != 0 || n%8 != 0 || x[1]*x[2]*x[3] > math.MaxInt32 || m > math.MaxInt32 || terms > math.MaxInt32 {
		return false
	}
	b.algorithm = ownAlgorithm
	t, steps, parts := implicitLarge, ceil(terms, implicitDepth), 1
	if t.tiles(m, n) < implicitBlocks/2 {
		t = implicitSmall
		parts = max(min(implicitBlocks/t.tiles(m, n), steps/implicitSteps), 1)
	}
	each := ceil(steps, parts)
	parts = ceil(steps, each)
	sums := pointer{}
	if parts > 1 {
		sums = b.scratch(parts * m * n).pointer
	}
	c := structure{b.in(0).pointer, weight().pointer, sums, bias, b.optional(len(r.In)-1, residual), b.out()}
	c = append(c, walk(g, x[1], x[2], x[3], h, w)...)
	c = append(c, m, n, act, each)
	b.launchShared(t.name, [3]int{ceil(m, t.size), ceil(n, t.size), parts}, t.threads, t.shared(), c)
	if parts > 1 {
		b.each("implicit_sum", m*n, c, parts)
	}
	return true
}

// asTurned is the layout of a weight [taps,in,out] in bfloat16 as [taps,out,in], the last tap first.
const asTurned = "bfloat16 turned"

// turned is input i so: once, if it is constant, else in each run.
func (b *builder) turned(i, taps int) value {
	o := b.request.In[i]
	out := channels(o)
	in := size(o) / taps / out
	turn := func(b *builder, to value) {
		b.launch("implicit_turn", [3]int{ceil(in, 32), ceil(out, 32), taps}, threads, b.in(i), to, in, out)
	}
	if o.Const == nil || o.Identity == nil || b.request.LowMemory {
		to := b.halves(size(o))
		turn(b, to)
		return to
	}
	b.unread = append(b.unread, i)
	return value{b.copied(i, asTurned, 2*int64(size(o)), func(b *builder, to pointer) { turn(b, value{to, true}) }), true}
}

// halves takes n bfloat16 from the workspace.
func (b *builder) halves(n int) value {
	v := b.scratch(ceil(n, 2))
	v.bf16 = true
	return v
}
