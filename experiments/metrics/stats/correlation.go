package stats

import (
	"math"
	"slices"
)

// Pearson is the correlation coefficient of pairs of values, like numpy.corrcoef. It is NaN for fewer than two pairs,
// and if one side is constant or a value is not finite.
func Pearson(x, y []float64) float64 {
	// Compared directly: rounding errors of the mean give equal values a variance.
	if len(x) < 2 || slices.Min(x) == slices.Max(x) || slices.Min(y) == slices.Max(y) {
		return math.NaN()
	}
	mx, my := Mean(x), Mean(y)
	var xx, yy, xy float64
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		xx += dx * dx
		yy += dy * dy
		xy += dx * dy
	}
	return max(-1, min(1, xy/math.Sqrt(xx*yy)))
}
