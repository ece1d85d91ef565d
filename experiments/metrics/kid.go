package metrics

import (
	"errors"
	"fmt"

	"gonum.org/v1/gonum/mat"
)

// KernelDistance is the squared maximum mean discrepancy of two sets with the kernel (x·y/d + 1)³, KID for Inception's
// features (Bińkowski et al. 2018, "Demystifying MMD GANs"). It is the unbiased estimator of kid_score.py, so it may be
// negative. Both sets have n rows of d finite numbers, n ≥ 3.
func KernelDistance(real, generated [][]float32) (float64, error) {
	x, err := toMatrix(real)
	if err != nil {
		return 0, fmt.Errorf("KID: real: %w", err)
	}
	y, err := toMatrix(generated)
	if err != nil {
		return 0, fmt.Errorf("KID: generated: %w", err)
	}
	m, d := x.Dims()
	if n, e := y.Dims(); n != m || e != d {
		return 0, fmt.Errorf("KID: %d rows of %d features and %d rows of %d: want equally many", m, d, n, e)
	}
	if m < 3 {
		return 0, fmt.Errorf("KID is undefined: %d images in each set: want at least 3", m)
	}
	n := float64(m)
	return (kernelSum(x, nil)+kernelSum(y, nil))/(n*(n-1)) - 2*kernelSum(x, y)/(n*n), nil
}

func toMatrix(rows [][]float32) (*mat.Dense, error) {
	if len(rows) == 0 || len(rows[0]) == 0 {
		return nil, errors.New("no features")
	}
	out := mat.NewDense(len(rows), len(rows[0]), nil)
	for i, row := range rows {
		if err := checkRow(row, len(rows[0])); err != nil {
			return nil, fmt.Errorf("feature row %d: %w", i, err)
		}
		to := out.RawRowView(i)
		for j, v := range row {
			to[j] = float64(v)
		}
	}
	return out, nil
}

// kernelRows is how many rows of a kernel matrix are held at once: a set of 50,000 images would have one of 20 GB.
const kernelRows = 256

// kernelSum sums (x·y/d + 1)³ over all pairs of rows of x and y; y nil means x, without the pairs of a row with itself.
func kernelSum(x, y *mat.Dense) float64 {
	self := y == nil
	if self {
		y = x
	}
	n, d := x.Dims()
	sum := 0.0
	for begin := 0; begin < n; begin += kernelRows {
		end := min(begin+kernelRows, n)
		var products mat.Dense
		products.Mul(x.Slice(begin, end, 0, d), y.T())
		for i := begin; i < end; i++ {
			row := 0.0
			for j, p := range products.RawRowView(i - begin) {
				if self && i == j {
					continue
				}
				b := p/float64(d) + 1
				row += b * b * b
			}
			sum += row
		}
	}
	return sum
}
