package metrics

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// blockRows is how many rows Statistics adds at once, as one matrix product. For 2048 features the buffer takes 4 MB,
// next to 32 MB for the sum of products.
const blockRows = 256

// Statistics accumulates the mean and covariance of feature rows, in memory that depends on the number of features
// alone. Sums are float64 about the running mean (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample
// variance"), so large means cost no digits. It is not safe for concurrent use.
type Statistics struct {
	count   int
	mean    []float64
	moments blas64.General // sums of products of deviations from the mean, [d,d]
	block   blas64.General // rows not yet in mean and moments: Rows of blockRows
}

// NewStatistics returns the statistics of no rows of dim features.
func NewStatistics(dim int) *Statistics {
	dim = max(dim, 0)
	return &Statistics{
		mean:    make([]float64, dim),
		moments: blas64.General{Rows: dim, Cols: dim, Stride: max(dim, 1), Data: make([]float64, dim*dim)},
		block:   blas64.General{Cols: dim, Stride: max(dim, 1), Data: make([]float64, blockRows*dim)},
	}
}

// Dim is the number of features in a row.
func (s *Statistics) Dim() int { return len(s.mean) }

// Count is the number of rows added.
func (s *Statistics) Count() int { return s.count + s.block.Rows }

// Add adds rows. It stops with an error at a row whose length isn't Dim or that has a value that is not finite.
func (s *Statistics) Add(rows ...[]float32) error {
	for _, row := range rows {
		if err := checkRow(row, s.Dim()); err != nil {
			return fmt.Errorf("feature row %d: %w", s.Count(), err)
		}
		to := s.block.Data[s.block.Rows*s.block.Stride:][:len(row)]
		for i, v := range row {
			to[i] = float64(v)
		}
		if s.block.Rows++; s.block.Rows == blockRows {
			s.flush()
		}
	}
	return nil
}

// checkRow tells what is wrong with a row that should have dim finite numbers.
func checkRow(row []float32, dim int) error {
	if len(row) != dim {
		return fmt.Errorf("%d features, want %d", len(row), dim)
	}
	for i, v := range row {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("feature %d is %v, want a finite number", i, v)
		}
	}
	return nil
}

// flush brings the block into the mean and the moments.
func (s *Statistics) flush() {
	m, d := s.block.Rows, s.Dim()
	if m == 0 || d == 0 {
		s.count, s.block.Rows = s.count+m, 0
		return
	}
	mean := make([]float64, d)
	for r := range m {
		for i, v := range s.block.Data[r*s.block.Stride:][:d] {
			mean[i] += v
		}
	}
	for i := range mean {
		mean[i] /= float64(m)
	}
	for r := range m {
		row := s.block.Data[r*s.block.Stride:][:d]
		for i := range row {
			row[i] -= mean[i]
		}
	}
	// Gemm computes both halves of the symmetric product and is still faster than gonum's Syrk, which makes a pass a row.
	blas64.Gemm(blas.Trans, blas.NoTrans, 1, s.block, s.block, 1, s.moments)
	n := float64(s.count)
	total := n + float64(m)
	for i := range mean {
		mean[i] -= s.mean[i] // from here on the difference of the means
	}
	x := blas64.Vector{N: d, Inc: 1, Data: mean}
	blas64.Ger(n*float64(m)/total, x, x, s.moments)
	for i, difference := range mean {
		s.mean[i] += difference * float64(m) / total
	}
	s.count, s.block.Rows = s.count+m, 0
}

// Mean returns a copy of the mean, [d]; zeros before the first row.
func (s *Statistics) Mean() []float64 {
	s.flush()
	return append([]float64(nil), s.mean...)
}

// Covariance returns the covariance, [d,d], divided by Count − 1 as numpy.cov does. It needs two rows.
func (s *Statistics) Covariance() (*mat.SymDense, error) {
	s.flush()
	if s.count < 2 {
		return nil, fmt.Errorf("covariance of %d rows: want at least 2", s.count)
	}
	d := s.Dim()
	if d == 0 {
		return nil, errors.New("covariance of rows without features")
	}
	c := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			c.SetSym(i, j, s.moments.Data[i*s.moments.Stride+j]/float64(s.count-1))
		}
	}
	return c, nil
}

// FrechetDistance is the distance of two sets and what a reader of the number should know.
type FrechetDistance struct {
	Distance float64
	Notes    []string
}

// Frechet is the squared Fréchet distance of two normal distributions, FID for Inception's features (Heusel et al.
// 2017, "GANs trained by a two time-scale update rule converge to a local Nash equilibrium"):
//
//	|μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁Σ₂)^½
//
// It is pytorch_fid's calculate_frechet_distance except for the root: with Σ₁ = AAᵀ and Σ₂ = BBᵀ, its trace is the sum
// of the singular values of AᵀB. That is never complex and loses no digits if a covariance is singular, as with fewer
// rows than features. pytorch_fid takes scipy's root there, with noise of about 1e-7, and adds 1e-6 to both diagonals
// if it isn't finite; here a note says that the covariance is singular.
//
// The distance of a set to itself is 0 up to rounding, perhaps −1e-14. Sets of fewer than two rows are an error.
func Frechet(a, b *Statistics) (FrechetDistance, error) {
	if a.Dim() != b.Dim() {
		return FrechetDistance{}, fmt.Errorf("FID: %d features in one set, %d in the other: want equally many",
			a.Dim(), b.Dim())
	}
	for _, s := range []*Statistics{a, b} {
		if s.Count() < 2 {
			return FrechetDistance{}, fmt.Errorf("FID is undefined: a set of %d images has no covariance", s.Count())
		}
	}
	result := FrechetDistance{}
	m1, m2 := a.Mean(), b.Mean()
	for i := range m1 {
		d := m1[i] - m2[i]
		result.Distance += d * d
	}
	var factors [2]*mat.Dense
	for k, s := range []*Statistics{a, b} {
		c, err := s.Covariance()
		if err != nil {
			return FrechetDistance{}, fmt.Errorf("FID: %w", err)
		}
		result.Distance += mat.Trace(c)
		factors[k] = factor(c)
		if s.Count() <= s.Dim() {
			result.Notes = append(result.Notes, fmt.Sprintf("FID of %d images with %d features: the covariance is singular "+
				"and the distance too high; compare it only with distances of as many images", s.Count(), s.Dim()))
		}
	}
	root, err := sumOfSingularValues(factors[0], factors[1])
	if err != nil {
		return FrechetDistance{}, fmt.Errorf("FID: %w", err)
	}
	result.Distance -= 2 * root
	return result, nil
}

// factor returns F [r,d] with c = FᵀF, r being c's rank up to rounding; nil for rank 0.
func factor(c *mat.SymDense) *mat.Dense {
	d := c.SymmetricDim()
	var f mat.PivotedCholesky
	f.Factorize(c, -1) // not of full rank is no failure here
	rank := f.Rank()
	if rank == 0 {
		return nil
	}
	u, pivots := f.RawU(), f.ColumnPivots(nil)
	out := mat.NewDense(rank, d, nil)
	for k := range rank {
		for i := k; i < d; i++ {
			out.Set(k, pivots[i], u.At(k, i))
		}
	}
	return out
}

// sumOfSingularValues sums the singular values of abᵀ; nil is a matrix of rank 0.
func sumOfSingularValues(a, b *mat.Dense) (float64, error) {
	if a == nil || b == nil {
		return 0, nil
	}
	var product mat.Dense
	product.Mul(a, b.T())
	var svd mat.SVD
	if !svd.Factorize(&product, mat.SVDNone) {
		r, c := product.Dims()
		return 0, fmt.Errorf("the singular values of a %d×%d matrix don't converge", r, c)
	}
	sum := 0.0
	for _, v := range svd.Values(nil) {
		sum += v
	}
	return sum, nil
}
