package stats

import "math"

// Pearson is the correlation coefficient of pairs of values, as numpy.corrcoef gives it; NaN for fewer than two pairs or where one side does
// not vary.
func Pearson(x, y []float64) float64 {
	mx, my := Mean(x), Mean(y)
	var xx, yy, xy float64
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		xx += dx * dx
		yy += dy * dy
		xy += dx * dy
	}
	if xx == 0 || yy == 0 {
		return math.NaN()
	}
	return max(-1, min(1, xy/math.Sqrt(xx*yy)))
}

// PearsonOf is Pearson's coefficient of the pairs with some indices.
func PearsonOf(x, y []float64, indices []int) float64 {
	a, b := make([]float64, len(indices)), make([]float64, len(indices))
	for i, at := range indices {
		a[i], b[i] = x[at], y[at]
	}
	return Pearson(a, b)
}
