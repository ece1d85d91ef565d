package synth

import (
	"iter"
	"math"
)

type buckets struct {
	n  int
	id [][]int // [n, n]
}

const bucketSide = 10.0 // µm, as wide as a cell; only long spindles end to end can miss each other

func newBuckets(field float64) buckets {
	n := int(math.Ceil((field+2*margin)/bucketSide)) + 1
	return buckets{n, make([][]int, n*n)}
}

func (b *buckets) cell(v float64) int {
	return max(0, min(b.n-1, int((v+margin)/bucketSide)))
}

func (b *buckets) insert(id int, x, y float64) {
	k := b.cell(y)*b.n + b.cell(x)
	b.id[k] = append(b.id[k], id)
}

// near yields all within rings buckets of the place's own, oldest first within a bucket.
func (b *buckets) near(x, y float64, rings int) iter.Seq[int] {
	ci, cj := b.cell(x), b.cell(y)
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
