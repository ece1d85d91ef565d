package stain

import (
	"errors"
	"math"
)

// The bins of a Histogram.
const (
	Bins     = 150
	BinWidth = 0.02 // of optical density
)

// Histogram counts pixels by the concentration of a dye: bin k holds optical densities from 0.02·k to 0.02·(k+1), the
// first also those below 0, the last also those from 3 on. With HED the borders are a sixth of that.
type Histogram struct {
	Counts [Bins]uint64
}

// Add adds another histogram's pixels.
func (h *Histogram) Add(other *Histogram) {
	for k, n := range other.Counts {
		h.Counts[k] += n
	}
}

// Pixels is the number of pixels counted.
func (h *Histogram) Pixels() uint64 {
	sum := uint64(0)
	for _, n := range h.Counts {
		sum += n
	}
	return sum
}

var errEmpty = errors.New("stain: a histogram without pixels has no distribution; measure at least one image first")

// KL is the Kullback–Leibler divergence of q from p in bits, Σ p·log2(p/q) ≥ 0 (Kullback and Leibler, Ann. Math. Stat.
// 22, 1951); p is the truth. Half a pixel is added to each bin (the estimator of Krichevsky and Trofimov), or an empty
// bin of q would make it infinite; so it depends slightly on the number of pixels.
func KL(p, q *Histogram) (float64, error) {
	np, nq := float64(p.Pixels()), float64(q.Pixels())
	if np == 0 || nq == 0 {
		return 0, errEmpty
	}
	sum := 0.0
	for k := range p.Counts {
		a := (float64(p.Counts[k]) + 0.5) / (np + 0.5*Bins)
		b := (float64(q.Counts[k]) + 0.5) / (nq + 0.5*Bins)
		sum += a * math.Log2(a/b)
	}
	return max(0, sum), nil
}

// JSD is the Jensen–Shannon divergence in bits, from 0 for equal distributions to 1 without a common bin (Lin, IEEE
// Trans. Inf. Theory 37, 1991, with equal weights). Its square root is the Jensen–Shannon distance.
func JSD(p, q *Histogram) (float64, error) {
	np, nq := float64(p.Pixels()), float64(q.Pixels())
	if np == 0 || nq == 0 {
		return 0, errEmpty
	}
	sum := 0.0
	for k := range p.Counts {
		a, b := float64(p.Counts[k])/np, float64(q.Counts[k])/nq
		m := (a + b) / 2
		if a > 0 {
			sum += a * math.Log2(a/m) / 2
		}
		if b > 0 {
			sum += b * math.Log2(b/m) / 2
		}
	}
	return max(0, min(1, sum)), nil
}
