//go:build gpu

package ops

import (
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

// The parts of a sum: as many as it takes to fill an H100, each of at least so many steps. They are the same on every
// GPU, and so are the sums.
const (
	implicitBlocks = 2 * 132
	implicitSteps  = 8
)

// implicit launches a convolution, or its gradient with respect to the image, on tensor cores, without its patches in
// memory. It reports whether it can.
func implicit(b *builder) bool {
	r := b.Request
	if r.In[0].DType != device.BFloat16 {
		return false
	}
	switch s := r.Spec.(type) {
	case op.Conv2D:
		if b.gpu.lt != nil && pointwise(s) {
			return false
		}
		h, w := s.Source(r.In[0].Shape)
		weight := func() launch.Value {
			if b.In(1).BF16 {
				return b.In(1)
			}
			return b.bfloat16(1, true)
		}
		return b.implicitGEMM(s.Geometry, h, w, b.Optional(2, s.Bias).Pointer, s.Residual, s.Act, weight)
	case op.ConvDataGrad:
		if s.Stride != 1 || b.gpu.lt != nil && pixelwise(s.Geometry) {
			return false
		}
		g := s.Geometry
		g.Pad = op.Padding{
			Top: g.KH - 1 - g.Pad.Top, Bottom: g.KH - 1 - g.Pad.Bottom,
			Left: g.KW - 1 - g.Pad.Left, Right: g.KW - 1 - g.Pad.Right,
		}
		dy := r.In[0].Shape
		weight := func() launch.Value { return b.turned(1, g.KH*g.KW) }
		return b.implicitGEMM(g, dy[1], dy[2], launch.Pointer{}, s.Residual, op.NoAct, weight)
	}
	return false
}

// implicitGEMM launches a convolution of input 0, which is read as if resized to h×w, with a weight [kh,kw,in,out] of
// bfloat16.
func (b *builder) implicitGEMM(
	g op.Geometry, h, w int, bias launch.Pointer, residual bool, act op.Act, weight func() launch.Value,
) bool {
	r := b.Request
	x, m, n := r.In[0].Shape, rows(r.Out), channels(r.Out)
	terms := g.KH * g.KW * x[3]
	if x[3]%8 != 0 || n%8 != 0 || x[1]*x[2]*x[3] > math.MaxInt32 || m > math.MaxInt32 || terms > math.MaxInt32 {
		return false
	}
	b.Algorithm = ownAlgorithm
	tiles := func(t kernels.ImplicitTile) int { return ceil(m, t.Size) * ceil(n, t.Size) }
	t, steps, parts := kernels.ImplicitLarge, ceil(terms, kernels.ImplicitDepth), 1
	if tiles(t) < implicitBlocks/2 {
		t = kernels.ImplicitSmall
		parts = max(min(implicitBlocks/tiles(t), steps/implicitSteps), 1)
	}
	each := ceil(steps, parts)
	parts = ceil(steps, each)
	sums := launch.Pointer{}
	if parts > 1 {
		sums = b.Scratch(parts * m * n).Pointer
	}
	c := launch.Structure{b.In(0).Pointer, weight().Pointer, sums, bias, b.Optional(len(r.In)-1, residual), b.Out()}
	c = append(c, walk(g, x[1], x[2], x[3], h, w)...)
	c = append(c, m, n, act, each)
	b.LaunchShared(t.Kernel, [3]int{ceil(m, t.Size), ceil(n, t.Size), parts}, t.Threads, t.Shared(), c)
	if parts > 1 {
		b.Each("implicit_sum", m*n, c, parts)
	}
	return true
}

// asTurned is the layout of a weight [taps,in,out] in bfloat16 as [taps,out,in], the last tap first.
const asTurned = "bfloat16 turned"

// turned is input i so: once, if it is constant, else in each run.
func (b *builder) turned(i, taps int) launch.Value {
	o := b.Request.In[i]
	out := channels(o)
	in := size(o) / taps / out
	turn := func(b *builder, to launch.Value) {
		b.Launch("implicit_turn", [3]int{ceil(in, 32), ceil(out, 32), taps}, kernels.Threads, b.In(i), to, in, out)
	}
	if !b.copies(i) {
		to := b.Halves(size(o))
		turn(b, to)
		return to
	}
	b.Unread = append(b.Unread, i)
	return launch.Value{Pointer: b.copied(i, asTurned, 2*int64(size(o)), func(b *builder, to launch.Pointer) {
		turn(b, launch.Value{Pointer: to, BF16: true})
	}), BF16: true}
}
