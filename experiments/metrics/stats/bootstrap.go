package stats

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/histdist/histdist/internal/parallel"
)

// Interval is a range that holds a quantity with the level of whoever made it. It is not known where a bound is NaN.
type Interval struct{ Low, High float64 }

// Known reports whether the interval could be made.
func (i Interval) Known() bool { return !math.IsNaN(i.Low) && !math.IsNaN(i.High) }

func unknown() Interval { return Interval{math.NaN(), math.NaN()} }

// Bootstrap says how resamples are drawn.
type Bootstrap struct {
	Resamples int     // 1 or more
	Level     float64 // such as 0.95
	Seed      uint64
}

// minDefined is the part of the resamples in which a statistic must be defined for its interval to mean anything.
const minDefined = 0.9

// Of is the percentile interval of a statistic of the values with the given indices. Resamples draw as many groups as
// there are with replacement, each with all of its values (Efron and Tibshirani, An Introduction to the Bootstrap,
// 1993, chapter 13; the cluster bootstrap of Davison and Hinkley, 1997, 3.8). Resamples with a NaN statistic are left
// out; if they are more than a tenth, or there are fewer than two groups, the interval is unknown. Several goroutines
// call the statistic.
func (b Bootstrap) Of(groups Groups, statistic func(indices []int) float64) Interval {
	if len(groups) < 2 {
		return unknown()
	}
	return b.percentiles(func(draw *rand.Rand, indices []int) (float64, []int) {
		indices = indices[:0]
		for range groups {
			indices = append(indices, groups[draw.IntN(len(groups))]...)
		}
		return statistic(indices), indices
	})
}

// Mean is the interval of the mean of values, like Of, at a cost that depends on the number of groups alone. The mean
// of a resample is its sum by its count.
func (b Bootstrap) Mean(values []float64, groups Groups) Interval {
	if len(groups) < 2 {
		return unknown()
	}
	sums := make([]float64, len(groups))
	for g, group := range groups {
		for _, i := range group {
			sums[g] += values[i]
		}
	}
	return b.percentiles(func(draw *rand.Rand, _ []int) (float64, []int) {
		sum, count := 0.0, 0
		for range groups {
			g := draw.IntN(len(groups))
			sum += sums[g]
			count += len(groups[g])
		}
		return sum / float64(count), nil
	})
}

// percentiles draws all resamples; one computes the statistic of one resample, in a buffer that it returns.
func (b Bootstrap) percentiles(one func(draw *rand.Rand, buffer []int) (float64, []int)) Interval {
	results := make([]float64, b.Resamples)
	parallel.Ranges(b.Resamples, 64, func(from, to int) {
		var buffer []int
		for i := from; i < to; i++ {
			results[i], buffer = one(rand.New(rand.NewPCG(b.Seed, uint64(i))), buffer)
		}
	})
	defined := slices.DeleteFunc(results, math.IsNaN)
	if float64(len(defined)) < minDefined*float64(b.Resamples) || len(defined) == 0 {
		return unknown()
	}
	slices.Sort(defined)
	tail := (1 - b.Level) / 2
	return Interval{quantile(defined, tail), quantile(defined, 1-tail)}
}

// Quantile is the q-quantile of values, 0 ≤ q ≤ 1, with linear interpolation like numpy.quantile; NaN without values.
func Quantile(values []float64, q float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return quantile(sorted, q)
}

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	if sorted[low] == sorted[high] { // also where both are infinite
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// Mean is the mean of values; NaN without values.
func Mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
