package registration

import (
	"math"
	"math/cmplx"
	"slices"
)

// patches are parts of an H&E image that are looked for in the IHC image.
type patches struct {
	side    int
	fourier *transform2D
	list    []patch
}

// patch is a part of the H&E image.
type patch struct {
	x, y     int        // of its first pixel
	middle   complex128 // from the middle of the image
	spectrum []complex128
}

const (
	patchesAcross = 5 // and down, overlapping
	patchSide     = 256
	smallestPatch = 32
	// faintest is the deviation of a patch's densities below which it shows no tissue.
	faintest = 0.02
	// distinct is the score of a peak that isn't chance: of 10⁵ correlations of noise none had it.
	distinct = 6.5
	// patchBlur is that of correlate.
	patchBlur = 2
)

// newPatches cuts an H&E image into parts of a power of two, about a quarter of the image.
func newPatches(he plane) *patches {
	p := &patches{side: patchSide}
	for p.side > smallestPatch && 4*p.side > min(he.width, he.height) {
		p.side /= 2
	}
	p.fourier = newTransform2D(p.side, p.side)
	for j := range patchesAcross {
		for i := range patchesAcross {
			x, y := i*(he.width-p.side)/(patchesAcross-1), j*(he.height-p.side)/(patchesAcross-1)
			part := he.part(x, y, p.side)
			if part.deviation() < faintest {
				continue
			}
			half := float64(p.side-1) / 2
			p.list = append(p.list, patch{
				x, y, complex(float64(x)+half-float64(he.width-1)/2, float64(y)+half-float64(he.height-1)/2),
				p.fourier.spectrum(part),
			})
		}
	}
	return p
}

// shifted is a patch that was found: where it is, and how far from where it should be.
type shifted struct{ at, by complex128 }

// find looks for all patches in an IHC image that is nearly aligned.
func (p *patches) find(ihc plane) []shifted {
	var found []shifted
	for _, h := range p.list {
		part := ihc.part(h.x, h.y, p.side)
		if part.deviation() < faintest {
			continue
		}
		if k := p.fourier.correlate(h.spectrum, p.fourier.spectrum(part), patchBlur); k.score >= distinct {
			found = append(found, shifted{h.middle, complex(k.x, k.y)})
		}
	}
	return found
}

// fit is the similarity that most shifts agree with.
type fit struct {
	turn, shift complex128
	residual    float64 // root of the mean squared distance of the shifts that agree, in pixels
	agree       int
}

// fitShifts fits a similarity robustly, by least squares with Tukey's weights (Holland and Welsch 1977).
func fitShifts(found []shifted) fit {
	weights := slices.Repeat([]float64{1}, len(found))
	far := make([]float64, len(found))
	f := fit{turn: 1, shift: medianShift(found)}
	for range 20 {
		for i, s := range found {
			far[i] = cmplx.Abs(f.error(s))
		}
		limit := max(4.685*1.4826*median(far), 1)
		for i, d := range far {
			u := min(1, d/limit)
			weights[i] = (1 - u*u) * (1 - u*u)
		}
		next, ok := leastSquares(found, weights)
		if !ok {
			break
		}
		f = next
	}
	squares := 0.0
	for i, s := range found {
		if weights[i] > 0 {
			d := cmplx.Abs(f.error(s))
			squares += d * d
			f.agree++
		}
	}
	if f.agree > 0 {
		f.residual = math.Sqrt(squares / float64(f.agree))
	}
	return f
}

func (f fit) error(s shifted) complex128 { return s.by - ((f.turn-1)*s.at + f.shift) }

// leastSquares fits a similarity; ok is false where the weights leave too little.
func leastSquares(found []shifted, weights []float64) (f fit, ok bool) {
	var total, spread float64
	var at, by, product complex128
	for i, s := range found {
		w := complex(weights[i], 0)
		total, at, by = total+weights[i], at+w*s.at, by+w*s.by
	}
	if total == 0 {
		return f, false
	}
	at, by = at/complex(total, 0), by/complex(total, 0)
	for i, s := range found {
		d := s.at - at
		product += complex(weights[i], 0) * cmplx.Conj(d) * (s.by - by)
		spread += weights[i] * (real(d)*real(d) + imag(d)*imag(d))
	}
	if spread == 0 {
		return f, false
	}
	slope := product / complex(spread, 0)
	return fit{turn: 1 + slope, shift: by - slope*at}, true
}

func medianShift(found []shifted) complex128 {
	x, y := make([]float64, len(found)), make([]float64, len(found))
	for i, s := range found {
		x[i], y[i] = real(s.by), imag(s.by)
	}
	return complex(median(x), median(y))
}

// median of values, which stay in their order; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
