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

// implicit launches a convolution on tensor cores; it tells whether it can.
func implicit(b *builder) bool {
	r := b.request
	s, ok := r.Spec.(op.Conv2D)
	if !ok || r.In[0].DType != device.BFloat16 || b.device.lt.handle != nil && pointwise(s) {
		return false
	}
	x, m, n := r.In[0].Shape, rows(r.Out), channels(r.Out)
	terms := s.KH * s.KW * x[3]
	if x[3]%8 != 0 || n%8 != 0 || x[1]*x[2]*x[3] > math.MaxInt32 || m > math.MaxInt32 || terms > math.MaxInt32 {
		return false
	}
	h, w := s.Source(x)
	weight := b.in(1)
	if !weight.bf16 {
		weight = b.rounded(1, true)
	}
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
	residual := b.optional(len(r.In)-1, s.Residual)
	g := structure{b.in(0).pointer, weight.pointer, sums, b.optional(2, s.Bias).pointer, residual, b.out()}
	g = append(g, walk(s.Geometry, x[1], x[2], x[3], h, w)...)
	g = append(g, m, n, s.Act, each)
	b.launchShared(t.name, [3]int{ceil(m, t.size), ceil(n, t.size), parts}, t.threads, t.shared(), g)
	if parts > 1 {
		b.each("implicit_sum", m*n, g, parts)
	}
	return true
}

// halves takes n bfloat16 from the workspace.
func (b *builder) halves(n int) value {
	v := b.scratch(ceil(n, 2))
	v.bf16 = true
	return v
}
