//go:build gpu

package cuda

import "github.com/histdist/histdist/graph/op"

// partRows is how many rows one block sums up at least where a sum is split.
const partRows = 256

// inParts has sums of many rows taken in parts: launch writes [outer,parts,c] to where it is told to, and the sums over the parts go to
// y [outer,c].
func (b *builder) inParts(outer, rows, c int, y value, launch func(to value, parts int)) {
	parts := min(max(rows/partRows, 1), 256)
	if parts == 1 {
		launch(y, 1)
		return
	}
	partial := b.scratch(outer * parts * c)
	launch(partial, parts)
	b.launch("column_sums", [3]int{ceil(c, columns), 1, outer}, threads, partial, y, parts, c)
}

// columnSums adds up x [outer,rows,c] → [outer,c].
func (b *builder) columnSums(outer, rows, c int) {
	b.inParts(outer, rows, c, b.out(), func(to value, parts int) {
		b.launch("column_sums", [3]int{ceil(c, columns), parts, outer}, threads, b.in(0), to, rows, c)
	})
}

// shares is how many blocks sum up n elements.
func shares(n int) int { return min(ceil(n, 8*row), 1024) }

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
			all += shares(size(x))
		}
		partial, at := b.scratch(all), 0
		for i, x := range r.In {
			b.launch("square_sums", [3]int{shares(size(x)), 1, 1}, row, b.in(i), partial.plus(at).pointer, size(x))
			at += shares(size(x))
		}
		b.rows("total", 1, partial.pointer, b.out().pointer, all, float32(1), true)
	default:
		return false
	}
	return true
}
