package rng

import (
	"math"
	"math/bits"
)

// NumPy is numpy.random.RandomState, NumPy's generator before 1.17 and still that of np.random.seed.
type NumPy struct {
	engine    mt19937
	cached    float64 // the second normal of a pair
	hasCached bool
}

// NewNumPy is numpy.random.RandomState(seed).
func NewNumPy(seed uint32) *NumPy {
	r := &NumPy{}
	r.engine.seed(seed)
	return r
}

// Random draws a number in [0,1): random_sample.
func (r *NumPy) Random() float64 { return r.engine.float53() }

// RandInt draws an integer from low to high−1: one element of randint(low, high). An empty range gives low and draws nothing.
func (r *NumPy) RandInt(low, high int64) int64 {
	if high <= low {
		return low
	}
	return low + int64(r.upTo(uint64(high)-uint64(low)-1))
}

// upTo draws an integer from 0 to last by drawing the bits that last has until they are no more than it. NumPy does so with
// 32-bit words where they suffice; a range of one value takes none.
func (r *NumPy) upTo(last uint64) uint64 {
	if last == 0 {
		return 0
	}
	mask := uint64(1)<<bits.Len64(last) - 1
	for {
		var v uint64
		if last <= math.MaxUint32 {
			v = uint64(r.engine.uint32()) & mask
		} else {
			v = r.engine.uint64() & mask
		}
		if v <= last {
			return v
		}
	}
}

// Shuffle puts n elements in random order by swapping pairs of them: shuffle.
func (r *NumPy) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, int(r.upTo(uint64(i))))
	}
}

// Permutation returns the numbers 0 … n−1 in random order: permutation(n).
func (r *NumPy) Permutation(n int) []int {
	p := make([]int, max(n, 0))
	for i := range p {
		p[i] = i
	}
	r.Shuffle(n, func(i, j int) { p[i], p[j] = p[j], p[i] })
	return p
}

// Choice returns k different numbers of 0 … n−1: choice(n, k, replace=False), the head of a permutation. k is at most n.
func (r *NumPy) Choice(n, k int) []int {
	p := r.Permutation(n)
	return p[:min(max(k, 0), len(p))]
}

// Normal draws a normal number of mean 0 and standard deviation 1: one element of randn, by Marsaglia's polar method.
func (r *NumPy) Normal() float64 {
	if r.hasCached {
		r.hasCached = false
		return r.cached
	}
	for {
		x, y := 2*r.engine.float53()-1, 2*r.engine.float53()-1
		if s := float64(x*x) + float64(y*y); s < 1 && s != 0 {
			f := math.Sqrt(-2 * math.Log(s) / s)
			r.cached, r.hasCached = f*x, true
			return f * y
		}
	}
}
