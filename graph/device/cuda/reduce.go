//go:build gpu

package cuda

import (
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// fill is how many blocks fill the largest GPU: 8 for each of the 132 multiprocessors of an H100. It is the same on every GPU, and so are
// the sums.
const fill = 8 * 132

// parts is in how many parts rows are taken where each part has some blocks: enough to fill the GPU, of at least `least` rows.
func (b *builder) parts(blocks, rows, least int) int {
	return min(max(min(ceil(fill, blocks), rows/least), 1), math.MaxUint16)
}

// columns launches a kernel that walks down the rows of x [N,rows,C], in parts; a block has some channels.
func (b *builder) columns(name string, x device.Operand, parts, channelsOfBlock int, arguments ...any) {
	b.launch(name, [3]int{ceil(channels(x), channelsOfBlock), parts, samples(x)}, threads, arguments...)
}

// inParts has sums of many rows taken in parts: launch writes [outer,parts,c] to where it is told to, and the sums over the parts go to
// y [outer,c].
func (b *builder) inParts(outer, parts, c int, y value, launch func(to value)) {
	if parts == 1 {
		launch(y)
		return
	}
	partial := b.scratch(outer * parts * c)
	launch(partial)
	b.launch("column_sums", [3]int{ceil(c, channelsOfBlock), 1, outer}, threads, partial, y, parts, c)
}

// columnSums adds up x [outer,rows,c] → [outer,c].
func (b *builder) columnSums(outer, rows, c int) {
	blocks := ceil(c, channelsOfBlock)
	parts := b.parts(outer*blocks, rows, 8*lanes)
	b.inParts(outer, parts, c, b.out(), func(to value) {
		b.launch("column_sums", [3]int{blocks, parts, outer}, threads, b.in(0), to, rows, c)
	})
}

// shares is how many blocks sum up n elements.
func shares(n int) int { return min(ceil(n, 16*row), fill) }

// squaresOfBlock is how many elements a block of square_sums takes: many, for one block adds up what all of them give.
const squaresOfBlock = 1 << 15

// total has a sum of n elements taken in shares: launch writes one number for each block, and factor times their sum goes to the output.
func (b *builder) total(n int, factor float32, launch func(partial pointer, grid [3]int)) {
	partial := b.scratch(shares(n)).pointer
	launch(partial, [3]int{shares(n), 1, 1})
	b.rows("total", 1, partial, b.out().pointer, shares(n), factor, false)
}

func reduce(b *builder) bool {
	r := b.request
	switch s := r.Spec.(type) {
	case op.SumRows:
		b.columnSums(1, rows(r.In[0]), channels(r.In[0]))
	case op.SumPixels:
		b.columnSums(samples(r.In[0]), pixels(r.In[0]), channels(r.In[0]))
	case op.SumBatch:
		b.columnSums(1, samples(r.In[0]), size(r.Out))
	case op.MSE:
		n := size(r.In[0])
		weights := b.optional(2, s.Weighted).pointer
		b.total(n, float32(1/float64(n)), func(partial pointer, grid [3]int) {
			b.launch("mse_sums", grid, row, b.in(0), b.in(1), weights, partial, n, n/samples(r.In[0]))
		})
	case op.MSEGrad:
		n := size(r.Out)
		b.each("mse_grad", n, b.in(0), b.in(1), b.in(2).pointer, b.optional(3, s.Weighted).pointer, b.out(), n, n/samples(r.Out))
	case op.GlobalNorm:
		all := 0
		for _, x := range r.In {
			all += ceil(size(x), squaresOfBlock)
		}
		partial, at := b.scratch(all).pointer, 0
		for first := 0; first < len(r.In); first += squared.most {
			l := squared
			for i, x := range r.In[first:min(first+squared.most, len(r.In))] {
				l.add(ceil(size(x), squaresOfBlock), size(x), b.in(first+i).pointer)
			}
			b.launch("square_sums", [3]int{l.blocks, 1, 1}, row, l.structure(), partial, at)
			at += l.blocks
		}
		b.rows("total", 1, partial, b.out().pointer, all, float32(1), true)
	default:
		return false
	}
	return true
}
