package stain

import (
	"fmt"
	"math"
	"slices"

	"github.com/histdist/histdist/data/imagefile"
)

// PositiveDAB is the default optical density from which DAB is positive, as in QuPath's "Detect positive staining"
// (which first smooths and shrinks the image; here each pixel counts).
const PositiveDAB = 0.3

// Intensity sums up how much of a dye an image shows, in the separator's units: optical densities, except for HED.
type Intensity struct {
	Pixels int
	Mean   float64 // over all pixels
	P90    float64 // 90th percentile, interpolated linearly as numpy.percentile does
	// MeanFromP90 is the mean of the values ≥ P90: how strong the stain is where it is strongest, whatever its area.
	MeanFromP90 float64
	// PositiveFraction is the part of all pixels whose concentration is at least the threshold, 0..1.
	PositiveFraction float64
	// IntegratedPositive is the sum of the concentrations of the positive pixels, which most of the literature calls
	// integrated optical density. It grows with the image.
	IntegratedPositive float64
	Histogram          Histogram
}

// fineBins are the bins into which a bin of the histogram is divided in order to find the percentile.
const fineBins = 32

// Measure measures a dye. Pixels are positive from an optical density of threshold on, which is scaled for HED.
//
// It makes two passes over the pixels: one counts them in fine bins, one finds the exact percentile among the few in
// its bin.
func Measure(img *imagefile.Image, p *Separator, d Dye, threshold float64) (Intensity, error) {
	if err := img.Check(); err != nil {
		return Intensity{}, fmt.Errorf("stain: %w", err)
	}
	t, err := p.Table(d)
	if err != nil {
		return Intensity{}, err
	}
	if math.IsNaN(threshold) || math.IsInf(threshold, 0) {
		return Intensity{}, fmt.Errorf("stain: the threshold is %v; it must be a finite optical density", threshold)
	}
	out := Intensity{Pixels: img.Width * img.Height}
	threshold *= p.unit
	scale := fineBins / (BinWidth * p.unit)
	low, high := t.span()
	first := int(math.Floor(low*scale/fineBins)) * fineBins // so that 0 is a border of bins
	counts := make([]uint32, int(high*scale)-first+2)
	// Before the first bin a value would be truncated upwards; shifted it is rounded down.
	shift := float64(-first)

	all, positive := 0.0, 0
	for i := 0; i+2 < len(img.Pix); i += 3 {
		v := t.At(img.Pix[i], img.Pix[i+1], img.Pix[i+2])
		all += v
		if v >= threshold {
			out.IntegratedPositive += v
			positive++
		}
		counts[int(v*scale+shift)]++
	}
	out.Mean = all / float64(out.Pixels)
	out.PositiveFraction = float64(positive) / float64(out.Pixels)
	for k, n := range counts {
		out.Histogram.Counts[max(0, min(Bins-1, (k+first)/fineBins))] += uint64(n)
	}

	// The values around the percentile are in bin at, and perhaps in the next one that isn't empty.
	position := 0.9 * float64(out.Pixels-1)
	rank := int(position)
	at, below := 0, 0
	for below+int(counts[at]) <= rank {
		below += int(counts[at])
		at++
	}
	last := at
	if rank+1 < out.Pixels && below+int(counts[at]) == rank+1 {
		for last++; counts[last] == 0; last++ {
		}
	}
	near := make([]float64, 0, counts[at]+counts[last])
	sum, n := 0.0, 0
	for i := 0; i+2 < len(img.Pix); i += 3 {
		v := t.At(img.Pix[i], img.Pix[i+1], img.Pix[i+2])
		switch bin := int(v*scale + shift); {
		case bin > last:
			sum += v
			n++
		case bin >= at:
			near = append(near, v)
		}
	}
	slices.Sort(near)
	a := near[rank-below]
	b := near[min(rank-below+1, len(near)-1)]
	out.P90 = interpolate(a, b, position-float64(rank))
	for _, v := range near {
		if v >= out.P90 {
			sum += v
			n++
		}
	}
	out.MeanFromP90 = sum / float64(n)
	return out, nil
}

// interpolate is NumPy's: from the nearer end, so t = 0 and equal ends are exact.
func interpolate(a, b, t float64) float64 {
	if t >= 0.5 {
		return b - (b-a)*(1-t)
	}
	return a + (b-a)*t
}
