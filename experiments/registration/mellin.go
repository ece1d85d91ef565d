package registration

import (
	"math"
	"math/cmplx"

	"github.com/histdist/histdist/experiments/metrics"
)

// The log-polar image of a spectrum: rows are angles over half a turn, columns are radii.
const (
	angles = 512
	radii  = 256
)

// turned returns the rotation and scale from a to b by their spectra, which don't depend on shifts. It is one guess:
// the spectra of two stains are never quite the same.
func (t *transform2D) turned(a, b []complex128) Transform {
	polar := newTransform2D(radii, angles)
	p, step := t.logPolar(a)
	q, _ := t.logPolar(b)
	at := polar.correlate(polar.radial(p), polar.radial(q), 2)
	return Transform{Angle: at.y * 180 / angles, Scale: math.Exp(-at.x * step)}
}

// logPolar samples the logarithms of a spectrum's absolute values; step is the logarithm of the radii's quotient.
func (t *transform2D) logPolar(spectrum []complex128) (p plane, step float64) {
	inner, outer := float64(t.width)/32, float64(t.width)*0.45
	step = math.Log(outer/inner) / radii
	magnitude := newPlane(t.width, t.height) // frequency 0 in the middle
	for y := range t.height {
		for x := range t.width {
			v := cmplx.Abs(spectrum[y*t.width+x])
			magnitude.values[(y+t.height/2)%t.height*t.width+(x+t.width/2)%t.width] = math.Log1p(v)
		}
	}
	p = newPlane(radii, angles)
	for k := range angles {
		sin, cos := math.Sincos(math.Pi * float64(k) / angles)
		for i := range radii {
			r := inner * math.Exp(step*float64(i))
			p.values[k*radii+i] = magnitude.at(float64(t.width/2)+r*cos, float64(t.height/2)+r*sin)
		}
	}
	return p, step
}

// radial is the transform of a log-polar image without the mean of each radius, in a window over the radii alone:
// angles go round.
func (t *transform2D) radial(p plane) []complex128 {
	window := metrics.Hann(p.width)
	out := make([]complex128, len(p.values))
	for x := range p.width {
		mean := 0.0
		for y := range p.height {
			mean += p.values[y*p.width+x] / float64(p.height)
		}
		for y := range p.height {
			out[y*p.width+x] = complex((p.values[y*p.width+x]-mean)*window[x], 0)
		}
	}
	t.forward(out)
	return out
}
