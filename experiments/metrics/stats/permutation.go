package stats

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/histdist/histdist/internal/parallel"
)

// PairedTest is the result of a test of paired differences.
type PairedTest struct {
	Mean   float64 // of the differences
	Effect float64 // Cohen's d of paired values: mean by standard deviation; NaN where that is 0 and the mean isn't
	P      float64 // two-sided
	Groups int     // how many signs were flipped independently
	Exact  bool    // every combination of signs was counted
}

// SignFlip tests whether paired differences are symmetric about 0, as they are if the two methods are exchangeable
// (Fisher's randomisation test; Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005, 3.7). The
// differences of a group change sign together. With few groups all sign combinations are counted; beyond 2^groups >
// 2·flips, flips random ones are drawn, and P is (k+1)/(flips+1) if k of them have a mean at least as far from 0
// (Phipson and Smyth, 2010).
func SignFlip(differences []float64, groups Groups, flips int, seed uint64) PairedTest {
	n := float64(len(differences))
	t := PairedTest{Mean: Mean(differences), Groups: len(groups), P: math.NaN(), Effect: math.NaN()}
	if len(groups) == 0 {
		return t
	}
	variance := 0.0
	for _, d := range differences {
		variance += (d - t.Mean) * (d - t.Mean) / (n - 1)
	}
	switch {
	case variance > 0:
		t.Effect = t.Mean / math.Sqrt(variance)
	case t.Mean == 0:
		t.Effect = 0
	}
	sums := make([]float64, len(groups))
	observed, scale := 0.0, 0.0
	for g, group := range groups {
		for _, i := range group {
			sums[g] += differences[i]
		}
		observed += sums[g]
		scale += math.Abs(sums[g])
	}
	// Sums that are equal but for the order of their terms count as equal.
	limit := math.Abs(observed) - 1e-12*scale
	if len(groups) < 62 && 1<<(len(groups)-1) <= flips {
		t.Exact = true
		t.P = exact(sums, limit)
		return t
	}
	var k atomic.Int64
	parallel.For(flips, func(i int) {
		draw := rand.New(rand.NewPCG(seed, uint64(i)))
		sum := 0.0
		var bits uint64
		for g, s := range sums {
			if g%64 == 0 {
				bits = draw.Uint64()
			}
			if bits&1 != 0 {
				s = -s
			}
			bits >>= 1
			sum += s
		}
		if math.Abs(sum) >= limit {
			k.Add(1)
		}
	})
	t.P = float64(k.Load()+1) / float64(flips+1)
	return t
}

// exact counts the combinations of signs. The first sign is left alone: turning all signs changes no distance from 0.
func exact(sums []float64, limit float64) float64 {
	total := 1 << (len(sums) - 1)
	k := 0
	for signs := range total {
		sum := sums[0]
		for g, s := range sums[1:] {
			if signs>>g&1 != 0 {
				s = -s
			}
			sum += s
		}
		if math.Abs(sum) >= limit {
			k++
		}
	}
	return float64(k) / float64(total)
}

// Holm corrects P values of several tests so that the chance of any false alarm stays that of one test (Holm, Scand. J.
// Statist. 1979). NaN stays NaN and is not counted.
func Holm(p []float64) []float64 {
	var order []int
	for i, v := range p {
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	corrected := slices.Clone(p)
	highest := 0.0
	for rank, i := range order {
		highest = max(highest, min(1, float64(len(order)-rank)*p[i]))
		corrected[i] = highest
	}
	return corrected
}
