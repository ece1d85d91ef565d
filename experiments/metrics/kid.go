package metrics

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/histdist/histdist/graph/rng"
)

// MMD is an estimate of the squared maximum mean discrepancy of two distributions.
type MMD struct {
	Squared  float64 // may be negative: it is unbiased
	Variance float64 // of Squared, estimated; may be negative too
}

// KernelDistance is the squared maximum mean discrepancy of two sets with the kernel (x·y/d + 1)³, where the rows are Inception's
// features: the kernel inception distance of all rows (Bińkowski et al. 2018, "Demystifying MMD GANs"). The estimators of
// value and variance are Sutherland et al.'s (2017, "Generative models and model criticism via optimized maximum mean discrepancy") as
// kid_score.py has them. The sets have as many rows, of finite numbers, at least three.
//
// varianceAt is the number of rows that the variance is meant for, 0: those of a set. kid_score.py gives the size of the smaller
// whole set for the variance of a subset.
func KernelDistance(real, generated [][]float32, varianceAt int) (MMD, error) {
	x, err := toMatrix(real)
	if err != nil {
		return MMD{}, fmt.Errorf("KID: real: %w", err)
	}
	y, err := toMatrix(generated)
	if err != nil {
		return MMD{}, fmt.Errorf("KID: generated: %w", err)
	}
	m, d := x.Dims()
	if n, e := y.Dims(); n != m || e != d {
		return MMD{}, fmt.Errorf("KID: %d rows of %d features and %d rows of %d: want as many", m, d, n, e)
	}
	if m < 3 {
		return MMD{}, fmt.Errorf("KID is undefined: %d images in each set: want at least 3", m)
	}
	if varianceAt == 0 {
		varianceAt = m
	}
	if varianceAt < 2 {
		return MMD{}, fmt.Errorf("KID: a variance for %d rows: want at least 2", varianceAt)
	}
	return mmd(x, y, float64(varianceAt)), nil
}

// toMatrix copies rows.
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

// kernelSums are the sums over a kernel matrix that the estimators need. Of a set with itself the diagonal is left out.
type kernelSums struct {
	rows, columns []float64
	sum           float64
	squares       float64
}

// kernelRows is how many rows of a kernel matrix are held at once: a set of 50,000 images would have one of 20 GB.
const kernelRows = 256

// kernelOf sums up (x·y/d + 1)³ over all pairs of rows of x and y; y nil means x, without the pairs of a row with itself.
func kernelOf(x, y *mat.Dense) kernelSums {
	self := y == nil
	if self {
		y = x
	}
	n, d := x.Dims()
	m, _ := y.Dims()
	k := kernelSums{rows: make([]float64, n), columns: make([]float64, m)}
	for begin := 0; begin < n; begin += kernelRows {
		end := min(begin+kernelRows, n)
		var products mat.Dense
		products.Mul(x.Slice(begin, end, 0, d), y.T())
		for i := begin; i < end; i++ {
			for j, p := range products.RawRowView(i - begin) {
				if self && i == j {
					continue
				}
				b := p/float64(d) + 1
				v := b * b * b
				k.rows[i] += v
				k.columns[j] += v
				k.squares += v * v
			}
			k.sum += k.rows[i]
		}
	}
	return k
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// mmd is kid_score.py's _mmd2_and_variance, unbiased. The names of its terms are kept: ζ₁ and ζ₂ are the variances of the
// estimator's first- and second-order projections.
func mmd(x, y *mat.Dense, at float64) MMD {
	rows, _ := x.Dims()
	m := float64(rows)
	xx, yy, xy := kernelOf(x, nil), kernelOf(y, nil), kernelOf(x, y)
	m1, m2 := m-1, m-2
	sum, squares := xx.sum+yy.sum, xx.sum*xx.sum+yy.sum*yy.sum
	cross := dot(xx.rows, xy.rows) + dot(yy.rows, xy.columns)
	zeta1 := (dot(xx.rows, xx.rows)-xx.squares+dot(yy.rows, yy.rows)-yy.squares)/(m*m1*m2) -
		squares/(m*m1*m*m1) +
		(dot(xy.rows, xy.rows)+dot(xy.columns, xy.columns)-2*xy.squares)/(m*m*m1) -
		2*xy.sum*xy.sum/(m*m*m*m) -
		2*cross/(m*m*m1) +
		2*sum*xy.sum/(m*m*m*m1)
	zeta2 := (xx.squares+yy.squares)/(m*m1) -
		squares/(m*m1*m*m1) +
		2*xy.squares/(m*m) -
		2*xy.sum*xy.sum/(m*m*m*m) -
		4*cross/(m*m*m1) +
		4*sum*xy.sum/(m*m*m*m1)
	return MMD{
		Squared:  sum/(m*m1) - 2*xy.sum/(m*m),
		Variance: 4*(at-2)/(at*(at-1))*zeta1 + 2/(at*(at-1))*zeta2,
	}
}

// KIDConfig says how KID draws its subsets.
type KIDConfig struct {
	Subsets    int    // 100 in the official evaluation
	SubsetSize int    // min(images, 100) in the official evaluation
	Seed       uint32 // of numpy.random.RandomState; the official evaluation draws without a seed
}

// KID is the kernel inception distance by subsets.
type KID struct {
	Mean, Std float64 // over the subsets; Std divides by their number
	Subsets   []MMD
}

// KernelInceptionDistance draws subsets of both sets and averages their KernelDistance, as polynomial_mmd_averages of kid_score.py does:
// for each subset RandomState.choice without replacement of the real rows first, then of the generated ones. The sets may have
// different numbers of rows.
//
// kid_score.py leaves out images beyond a multiple of 50 in each set, in the order of glob; here all rows take part that are given.
func KernelInceptionDistance(real, generated [][]float32, c KIDConfig) (KID, error) {
	smaller := min(len(real), len(generated))
	if c.Subsets < 1 {
		return KID{}, fmt.Errorf("KID: %d subsets: want at least 1", c.Subsets)
	}
	if c.SubsetSize < 3 || c.SubsetSize > smaller {
		return KID{}, fmt.Errorf("KID: subsets of %d of %d real and %d generated images: want 3 to %d",
			c.SubsetSize, len(real), len(generated), smaller)
	}
	draw := rng.NewNumPy(c.Seed)
	pick := func(rows [][]float32) [][]float32 {
		out := make([][]float32, c.SubsetSize)
		for i, k := range draw.Choice(len(rows), c.SubsetSize) {
			out[i] = rows[k]
		}
		return out
	}
	result := KID{Subsets: make([]MMD, c.Subsets)}
	for i := range result.Subsets {
		r := pick(real)
		value, err := KernelDistance(r, pick(generated), smaller)
		if err != nil {
			return KID{}, err
		}
		result.Subsets[i] = value
		result.Mean += value.Squared
	}
	n := float64(c.Subsets)
	result.Mean /= n
	for _, s := range result.Subsets {
		d := s.Squared - result.Mean
		result.Std += d * d
	}
	result.Std = math.Sqrt(result.Std / n)
	return result, nil
}
