package rng_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/rng"
)

func TestNumPy(t *testing.T) {
	eachSeed(t, func(t *testing.T, r reference, seed int64, prefix string) {
		prefix += "numpy/"
		fresh := func() *rng.NumPy { return rng.NewNumPy(uint32(seed)) }
		r.compareIntegers(t, prefix+"permutation_10", int64s(fresh().Permutation(10)))
		r.compareIntegers(t, prefix+"permutation_1000", int64s(fresh().Permutation(1000)))
		g := fresh()
		r.compareIntegers(t, prefix+"choice_150_100_twice", int64s(append(g.Choice(150, 100), g.Choice(150, 100)...)))
	})
}

func int64s(x []int) []int64 {
	y := make([]int64, len(x))
	for i, v := range x {
		y[i] = int64(v)
	}
	return y
}

func TestNumPyRangesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := rng.NewNumPy(rapid.Uint32().Draw(t, "seed"))
		n, k := rapid.IntRange(0, 50).Draw(t, "n"), rapid.IntRange(0, 60).Draw(t, "k")
		chosen := g.Choice(n, k)
		slices.Sort(chosen)
		if len(chosen) != min(n, k) || len(slices.Compact(chosen)) != min(n, k) {
			t.Fatalf("Choice(%d, %d) = %v", n, k, chosen)
		}
	})
}
