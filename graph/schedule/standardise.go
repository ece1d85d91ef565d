package schedule

import (
	"fmt"
	"math"

	"github.com/histdist/histdist/internal/option"
)

// Normalize says when the latents of an inversion are standardised.
type Normalize string

// The values of HistDiST's option: never; once, after the last step; or in every step, before its noise is added.
const (
	NormalizeNone      Normalize = "none"
	NormalizeInversion Normalize = "inversion"
	NormalizeSteps     Normalize = "steps"
)

// UnmarshalText takes one of the names.
func (n *Normalize) UnmarshalText(text []byte) error {
	return option.OneOf(n, text, "normalization", NormalizeNone, NormalizeInversion, NormalizeSteps)
}

// Standardise brings every channel of every sample of x, [N,H,W,C], to mean 0 and standard deviation 1 over its pixels,
// in place. The deviation divides by H·W−1. A channel that is constant or not finite is an error, and x is unchanged.
func Standardise(x []float32, shape [4]int) error {
	if err := checkShape(len(x), shape); err != nil {
		return fmt.Errorf("standardise: %w", err)
	}
	samples, n, channels := shape[0], len(x)/shape[0], shape[3]
	all := make([]Moments, samples)
	for i := range all {
		var err error
		if all[i], err = MomentsOf(x[i*n:(i+1)*n], channels, nil); err != nil {
			return fmt.Errorf("standardise: sample %d: %w", i, err)
		}
	}
	for i, m := range all {
		m.Standardise(x[i*n : (i+1)*n])
	}
	return nil
}

// Moments are the mean and the standard deviation of each channel over pixels.
type Moments struct {
	Mean      []float64 `json:"mean"`
	Deviation []float64 `json:"deviation"` // unbiased: over n−1 pixels
}

// MomentsOf returns the moments of latents x [pixels,channels], over the pixels that use marks; nil marks all. A
// channel that is constant or not finite is an error.
func MomentsOf(x []float32, channels int, use []bool) (Moments, error) {
	pixels := len(x) / channels
	m := Moments{make([]float64, channels), make([]float64, channels)}
	for c := range channels {
		var sum, squares float64
		n := 0
		for p := range pixels {
			if use == nil || use[p] {
				sum += float64(x[p*channels+c])
				n++
			}
		}
		mean := sum / float64(n)
		for p := range pixels {
			if use == nil || use[p] {
				d := float64(x[p*channels+c]) - mean
				squares += d * d
			}
		}
		deviation := math.Sqrt(squares / float64(n-1))
		if !(deviation > 0) || math.IsInf(deviation, 1) {
			return Moments{}, fmt.Errorf("channel %d has the standard deviation %v over its %d pixels", c, deviation, n)
		}
		m.Mean[c], m.Deviation[c] = mean, deviation
	}
	return m, nil
}

// Standardise brings latents x [pixels,channels] with these moments to mean 0 and standard deviation 1, in place.
func (m Moments) Standardise(x []float32) {
	channels := len(m.Mean)
	for i, v := range x {
		c := i % channels
		x[i] = float32((float64(v) - m.Mean[c]) / m.Deviation[c])
	}
}

// checkShape checks that a shape has only positive dimensions and as many elements as there are.
func checkShape(elements int, shape [4]int) error {
	left := elements
	for _, d := range shape {
		if d < 1 || left%d != 0 {
			return fmt.Errorf("%d elements for shape %v", elements, shape)
		}
		left /= d
	}
	if left != 1 {
		return fmt.Errorf("%d elements for shape %v", elements, shape)
	}
	return nil
}
