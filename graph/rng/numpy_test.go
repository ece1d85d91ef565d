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
		integers := func(name string, f func() int64) {
			got := make([]int64, product(r.shape(t, prefix+name)))
			for i := range got {
				got[i] = f()
			}
			r.compareIntegers(t, prefix+name, got)
		}
		floats := func(name string, f func() float64, tolerance float64) {
			got := make([]float64, product(r.shape(t, prefix+name)))
			for i := range got {
				got[i] = f()
			}
			r.compareFloats(t, prefix+name, got, tolerance)
		}
		r.compareIntegers(t, prefix+"permutation_10", int64s(fresh().Permutation(10)))
		r.compareIntegers(t, prefix+"permutation_1000", int64s(fresh().Permutation(1000)))
		g := fresh()
		r.compareIntegers(t, prefix+"choice_150_100_twice", int64s(append(g.Choice(150, 100), g.Choice(150, 100)...)))
		g = fresh()
		integers("choice_replace_10_20", func() int64 { return g.RandInt(0, 10) })
		g = fresh()
		integers("randint_0_100_20", func() int64 { return g.RandInt(0, 100) })
		g = fresh()
		integers("words_16", func() int64 { return g.RandInt(0, 1<<32) })
		floats("random_sample_10/64", fresh().Random, 0)
		floats("randn_9/64", fresh().Normal, libraryTolerance)
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
		low, high := rapid.Int64().Draw(t, "low"), rapid.Int64().Draw(t, "high")
		if v := g.RandInt(low, high); high > low && (v < low || v >= high) || high <= low && v != low {
			t.Fatalf("RandInt(%d, %d) = %d", low, high, v)
		}
		n, k := rapid.IntRange(0, 50).Draw(t, "n"), rapid.IntRange(0, 60).Draw(t, "k")
		chosen := g.Choice(n, k)
		slices.Sort(chosen)
		if len(chosen) != min(n, k) || len(slices.Compact(chosen)) != min(n, k) {
			t.Fatalf("Choice(%d, %d) = %v", n, k, chosen)
		}
	})
}
