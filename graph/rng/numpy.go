package rng

import "math/bits"

// NumPy is numpy.random.RandomState, NumPy's generator before 1.17 and still that of np.random.seed.
type NumPy struct{ engine mt19937 }

// NewNumPy is numpy.random.RandomState(seed).
func NewNumPy(seed uint32) *NumPy {
	r := &NumPy{}
	r.engine.seed(seed)
	return r
}

// upTo draws an integer from 0 to last: words, cut to the bits that last has, until one is no more than it. A range of
// one value takes none.
func (r *NumPy) upTo(last uint32) uint32 {
	if last == 0 {
		return 0
	}
	mask := uint32(1<<bits.Len32(last) - 1)
	for {
		if v := r.engine.uint32() & mask; v <= last {
			return v
		}
	}
}

// Permutation returns the numbers 0 … n−1 in random order, n below 2³²: permutation(n).
func (r *NumPy) Permutation(n int) []int {
	p := make([]int, max(n, 0))
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := r.upTo(uint32(i))
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// Choice returns k different numbers of 0 … n−1: choice(n, k, replace=False), the head of a permutation. k is at most
// n.
func (r *NumPy) Choice(n, k int) []int {
	p := r.Permutation(n)
	return p[:min(max(k, 0), len(p))]
}
