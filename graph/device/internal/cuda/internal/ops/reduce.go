//go:build gpu

package ops

import (
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

// parts is in how many parts rows are taken where each part has some blocks: enough to fill the GPU, of at least
// `least` rows.
func (b *builder) parts(blocks, rows, least int) int {
	return min(max(min(ceil(launch.Fill, blocks), rows/least), 1), math.MaxUint16)
}

// columns launches a kernel that walks down the rows of x [N,rows,C], in parts; a block has `across` channels.
func (b *builder) columns(name string, x device.Operand, parts, across int, arguments ...any) {
	b.Launch(name, [3]int{ceil(channels(x), across), parts, samples(x)}, kernels.Threads, arguments...)
}

// inParts takes sums of many rows in parts: add writes [outer,parts,c] to where it is told to, and the sums over the
// parts go to y [outer,c].
func (b *builder) inParts(outer, parts, c int, y launch.Value, add func(to launch.Value)) {
	if parts == 1 {
		add(y)
		return
	}
	partial := b.Scratch(outer * parts * c)
	add(partial)
	b.Launch("column_sums", [3]int{ceil(c, kernels.ChannelsOfBlock), 1, outer}, kernels.Threads, partial, y, parts, c)
}

// columnSums adds up x [outer,rows,c] → [outer,c].
func (b *builder) columnSums(outer, rows, c int) {
	blocks := ceil(c, kernels.ChannelsOfBlock)
	parts := b.parts(outer*blocks, rows, 8*kernels.Lanes)
	b.inParts(outer, parts, c, b.Out(), func(to launch.Value) {
		b.Launch("column_sums", [3]int{blocks, parts, outer}, kernels.Threads, b.In(0), to, rows, c)
	})
}

// shares is how many blocks sum up n elements.
func shares(n int) int { return min(ceil(n, 16*kernels.Row), launch.Fill) }

// squaresOfBlock is how many elements a block of square_sums takes: many, because one block adds up what all of them
// give.
const squaresOfBlock = 1 << 15

// total takes a sum of n elements in shares: add writes one number for each block, and factor times their sum goes to
// the output.
func (b *builder) total(n int, factor float32, add func(partial launch.Pointer, grid [3]int)) {
	partial := b.Scratch(shares(n)).Pointer
	add(partial, [3]int{shares(n), 1, 1})
	b.Rows("total", 1, partial, b.Out().Pointer, shares(n), factor, false)
}

func reduce(b *builder) bool {
	r := b.Request
	switch s := r.Spec.(type) {
	case op.SumRows:
		b.columnSums(1, rows(r.In[0]), channels(r.In[0]))
	case op.SumPixels:
		b.columnSums(samples(r.In[0]), pixels(r.In[0]), channels(r.In[0]))
	case op.SumBatch:
		b.columnSums(1, samples(r.In[0]), size(r.Out))
	case op.MSE:
		n := size(r.In[0])
		weights := b.Optional(2, s.Weighted).Pointer
		b.total(n, float32(1/float64(n)), func(partial launch.Pointer, grid [3]int) {
			b.Launch("mse_sums", grid, kernels.Row, b.In(0), b.In(1), weights, partial, n, n/samples(r.In[0]))
		})
	case op.MSEGrad:
		n := size(r.Out)
		weights := b.Optional(3, s.Weighted).Pointer
		b.Each("mse_grad", n, b.In(0), b.In(1), b.In(2).Pointer, weights, b.Out(), n, n/samples(r.Out))
	case op.GlobalNorm:
		all := 0
		for _, x := range r.In {
			all += ceil(size(x), squaresOfBlock)
		}
		partial, at := b.Scratch(all).Pointer, 0
		for first := 0; first < len(r.In); first += kernels.Squared.Most {
			l := launch.NewList(kernels.Squared)
			for i, x := range r.In[first:min(first+kernels.Squared.Most, len(r.In))] {
				l.Add(ceil(size(x), squaresOfBlock), size(x), b.In(first+i).Pointer)
			}
			b.Launch("square_sums", [3]int{l.Blocks, 1, 1}, kernels.Row, l.Structure(), partial, at)
			at += l.Blocks
		}
		b.Rows("total", 1, partial, b.Out().Pointer, all, float32(1), true)
	default:
		return false
	}
	return true
}
