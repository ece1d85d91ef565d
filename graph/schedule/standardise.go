package schedule

import (
	"fmt"
	"math"
	"slices"
)

// Normalize says when the latents of an inversion are standardised.
type Normalize string

// The values of HistDiST's option: never; once, after the last step; or in every step, before its noise is added.
const (
	NormalizeNone      Normalize = "none"
	NormalizeInversion Normalize = "inversion"
	NormalizeSteps     Normalize = "steps"
)

func (n *Normalize) UnmarshalText(text []byte) error {
	names := []Normalize{NormalizeNone, NormalizeInversion, NormalizeSteps}
	if !slices.Contains(names, Normalize(text)) {
		return fmt.Errorf("normalization %q: want one of %v", text, names)
	}
	*n = Normalize(text)
	return nil
}

// Standardise brings every channel of every sample of x, [N,H,W,C], to mean 0 and standard deviation 1 over its pixels,
// in place. The deviation divides by H·W−1. A channel that is constant or not finite is an error, and x is unchanged.
func Standardise(x []float32, shape [4]int) error {
	if err := checkShape(len(x), shape); err != nil {
		return fmt.Errorf("standardise: %w", err)
	}
	samples, pixels, channels := shape[0], shape[1]*shape[2], shape[3]
	type moments struct{ mean, deviation float64 }
	of := make([]moments, samples*channels)
	for i := range of {
		channel := x[i/channels*pixels*channels+i%channels:]
		var sum, squares float64
		for p := range pixels {
			sum += float64(channel[p*channels])
		}
		mean := sum / float64(pixels)
		for p := range pixels {
			d := float64(channel[p*channels]) - mean
			squares += d * d
		}
		deviation := math.Sqrt(squares / float64(pixels-1))
		if !(deviation > 0) || math.IsInf(deviation, 1) {
			return fmt.Errorf("standardise: channel %d of sample %d has the standard deviation %v over its %d pixels",
				i%channels, i/channels, deviation, pixels)
		}
		of[i] = moments{mean, deviation}
	}
	for i, v := range x {
		m := of[i/(pixels*channels)*channels+i%channels]
		x[i] = float32((float64(v) - m.mean) / m.deviation)
	}
	return nil
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
