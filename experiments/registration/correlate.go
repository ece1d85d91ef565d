package registration

import (
	"math"
	"math/cmplx"

	"github.com/histdist/histdist/experiments/metrics"
)

// spectrum is the transform of a plane without its mean, in Hann's window, followed by zeros to the transform's size.
func (t *transform2D) spectrum(p plane) []complex128 {
	mean := 0.0
	for _, v := range p.values {
		mean += v / float64(len(p.values))
	}
	across, down := metrics.Hann(p.width), metrics.Hann(p.height)
	out := make([]complex128, t.width*t.height)
	for y := range p.height {
		for x := range p.width {
			out[y*t.width+x] = complex((p.values[y*p.width+x]-mean)*across[x]*down[y], 0)
		}
	}
	t.forward(out)
	return out
}

// peak is the maximum of a correlation.
type peak struct {
	x, y float64 // a shift, less than half of the width and of the height
	// score is its height in standard deviations of the correlation.
	score float64
}

// correlate finds the shift from a to b by the phases of their spectra. The peak has the shape of a Gaussian of sigma
// pixels, as the phases of high frequencies, which are noise, are left out.
func (t *transform2D) correlate(a, b []complex128, sigma float64) peak {
	cross := make([]complex128, len(a))
	across, down := lowPass(t.width, sigma), lowPass(t.height, sigma)
	for y := range t.height {
		for x := range t.width {
			i := y*t.width + x
			c := cmplx.Conj(a[i]) * b[i]
			if n := cmplx.Abs(c); n > 0 {
				cross[i] = c * complex(across[x]*down[y]/n, 0)
			}
		}
	}
	t.inverse(cross)
	best, sum, squares := 0, 0.0, 0.0
	for i, v := range cross {
		r := real(v)
		if r > real(cross[best]) {
			best = i
		}
		sum += r
		squares += r * r
	}
	n := float64(len(cross))
	mean := sum / n
	deviation := math.Sqrt(max(0, squares/n-mean*mean))
	if deviation == 0 {
		return peak{}
	}
	x, y := best%t.width, best/t.width
	value := func(x, y int) float64 {
		return real(cross[(y+t.height)%t.height*t.width+(x+t.width)%t.width])
	}
	top := value(x, y)
	return peak{
		x:     centred(float64(x)+summit(value(x-1, y), top, value(x+1, y)), t.width),
		y:     centred(float64(y)+summit(value(x, y-1), top, value(x, y+1)), t.height),
		score: (top - mean) / deviation,
	}
}

// lowPass is the spectrum of a Gaussian of sigma pixels at n frequencies.
func lowPass(n int, sigma float64) []float64 {
	w := make([]float64, n)
	for i := range w {
		f := centred(float64(i), n) / float64(n)
		w[i] = math.Exp(-2 * math.Pi * math.Pi * sigma * sigma * f * f)
	}
	return w
}

// centred takes a place on a circle of n to −n/2..n/2.
func centred(x float64, n int) float64 {
	if x >= float64(n)/2 {
		x -= float64(n)
	}
	return x
}

// summit is where a Gaussian through three values, of which the middle one is largest, has its maximum: −½..½.
func summit(left, top, right float64) float64 {
	if left <= 0 || right <= 0 {
		return 0
	}
	l, m, r := math.Log(left), math.Log(top), math.Log(right)
	curvature := l - 2*m + r
	if curvature >= 0 {
		return 0
	}
	return max(-0.5, min(0.5, (l-r)/(2*curvature)))
}
