package stain

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Pearson is Pearson's correlation coefficient of pairs of numbers, such as MeanFromP90 of the generated and the real picture,
// in [-1, 1]. Fewer than two pairs, numbers that are not finite, and a side that is constant are errors.
func Pearson(x, y []float64) (float64, error) {
	if len(x) != len(y) || len(x) < 2 {
		return 0, fmt.Errorf("stain: %d and %d numbers to correlate; as many of each are needed, and at least two", len(x), len(y))
	}
	for i := range x {
		if s := x[i] + y[i]; math.IsNaN(s) || math.IsInf(s, 0) {
			return 0, fmt.Errorf("stain: pair %d to correlate is (%v, %v); finite numbers are needed", i, x[i], y[i])
		}
	}
	// Compared as they are: rounding gives equal numbers a variance.
	if slices.Min(x) == slices.Max(x) || slices.Min(y) == slices.Max(y) {
		return 0, fmt.Errorf("stain: all numbers on one side are equal; they correlate with nothing")
	}
	return max(-1, min(1, stat.Correlation(x, y, nil))), nil
}
