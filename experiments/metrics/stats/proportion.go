package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Wilson is the score interval of a proportion, hits of n (Wilson, JASA 1927). Unlike the bootstrap's, it has a width
// even if all or none are hits.
func Wilson(hits, n int, level float64) Interval {
	if n == 0 {
		return unknown()
	}
	z := distuv.UnitNormal.Quantile(1 - (1-level)/2)
	p, m := float64(hits)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return Interval{max(0, centre-half), min(1, centre+half)}
}

// Chance is the range of the share of hits, with at least the level's probability, if each of n is a hit with
// probability p: the quantiles of the binomial distribution, divided by n.
func Chance(p float64, n int, level float64) Interval {
	if n == 0 || p < 0 || p > 1 || math.IsNaN(p) {
		return unknown()
	}
	if p == 0 || p == 1 {
		return Interval{p, p}
	}
	d := distuv.Binomial{N: float64(n), P: p}
	tail := (1 - level) / 2
	at := func(q float64) float64 { // the smallest number of hits whose distribution function reaches q
		low, high := 0, n
		for low < high {
			middle := (low + high) / 2
			if d.CDF(float64(middle)) >= q {
				high = middle
			} else {
				low = middle + 1
			}
		}
		return float64(low) / float64(n)
	}
	return Interval{at(tail), at(1 - tail)}
}
