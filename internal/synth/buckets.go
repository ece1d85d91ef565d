package synth

import (
	"iter"
	"math"
)

type buckets struct {
	x0, y0 float64 // of the first
	n      int
	id     [][]int // [n, n]
}

const bucketSide = 10.0 // µm, as wide as a cell; only long spindles end to end can miss each other

// newBuckets covers side × side µm from (x0, y0) on.
func newBuckets(x0, y0, side float64) buckets {
	n := int(math.Ceil(side/bucketSide)) + 1
	return buckets{x0, y0, n, make([][]int, n*n)}
}

func (b *buckets) cell(x, y float64) (i, j int) {
	return max(0, min(b.n-1, int((x-b.x0)/bucketSide))), max(0, min(b.n-1, int((y-b.y0)/bucketSide)))
}

func (b *buckets) insert(id int, x, y float64) {
	i, j := b.cell(x, y)
	k := j*b.n + i
	b.id[k] = append(b.id[k], id)
}

// near yields all within rings buckets of the place's own, oldest first within a bucket.
func (b *buckets) near(x, y float64, rings int) iter.Seq[int] {
	ci, cj := b.cell(x, y)
	return func(yield func(int) bool) {
		for j := max(0, cj-rings); j <= min(b.n-1, cj+rings); j++ {
			for i := max(0, ci-rings); i <= min(b.n-1, ci+rings); i++ {
				for _, id := range b.id[j*b.n+i] {
					if !yield(id) {
						return
					}
				}
			}
		}
	}
}
