package synth

import (
	"math"
	"math/rand/v2"

	"github.com/histdist/histdist/data/imagefile"
)

// light is what a slide lets through, before the sensor: [side, side] in each of three channels, 0..255.
type light struct {
	side int
	ch   [3][]float32
}

func newLight(side int) light {
	l := light{side: side}
	for k := range l.ch {
		l.ch[k] = make([]float32, side*side)
	}
	return l
}

// transmit sends light through a slide. A concentration is scaled by the gain of its dye first.
func transmit(s Stain, haematoxylin, second []float32, side int, hGain, sGain, ground float64) light {
	l := newLight(side)
	for i := range haematoxylin {
		out := s.Light(hGain*float64(haematoxylin[i]), sGain*float64(second[i])+ground)
		for k := range l.ch {
			l.ch[k][i] = float32(out[k])
		}
	}
	return l
}

func (l light) shrunk(n int) light {
	if n == 1 {
		return l
	}
	out := newLight(l.side / n)
	for k := range l.ch {
		for j := range out.side * n {
			for i := range out.side * n {
				out.ch[k][j/n*out.side+i/n] += l.ch[k][j*l.side+i] / float32(n*n)
			}
		}
	}
	return out
}

// blurred applies a Gaussian of deviation sigma pixels: the point spread function.
func (l light) blurred(sigma float64) light {
	if sigma < 0.15 { // the pixel is wider than the point
		return l
	}
	radius := int(math.Ceil(2.8 * sigma))
	tap := make([]float32, radius+1)
	sum := float32(0)
	for i := range tap {
		tap[i] = float32(math.Exp(-float64(i*i) / (2 * sigma * sigma)))
		sum += tap[i]
		if i > 0 {
			sum += tap[i]
		}
	}
	for i := range tap {
		tap[i] /= sum
	}
	n := l.side
	out := newLight(n)
	padded := make([]float32, n+2*radius)
	tmp := make([]float32, n*n)
	// Rows of the source become columns of the target; done twice, each is where it was.
	pass := func(src, dst []float32) {
		for j := range n {
			copy(padded[radius:], src[j*n:(j+1)*n])
			for i := range radius {
				padded[i], padded[radius+n+i] = src[j*n], src[(j+1)*n-1]
			}
			for i := range n {
				v := tap[0] * padded[i+radius]
				for k := 1; k <= radius; k++ {
					v += tap[k] * (padded[i+radius-k] + padded[i+radius+k])
				}
				dst[i*n+j] = v
			}
		}
	}
	for k := range l.ch {
		pass(l.ch[k], tmp)
		pass(tmp, out.ch[k])
	}
	return out
}

// expose is the scanner: it sharpens, adds the sensor's noise, and rounds.
func (l light) expose(lab laboratory, res float64, r *rand.Rand) *imagefile.Image {
	seen := l.blurred(lab.blur / res)
	wide := seen.blurred(0.9)
	img := imagefile.New(l.side, l.side)
	for i := range l.side * l.side {
		// Most of a scanner's noise is of brightness, not of colour.
		common := r.NormFloat64()
		for k := range l.ch {
			v := float64(seen.ch[k][i]) + lab.sharpening*float64(seen.ch[k][i]-wide.ch[k][i])
			noise := lab.noise * (0.8*common + 0.6*r.NormFloat64()) * math.Sqrt(max(v, 0)/255+0.08)
			img.Pix[3*i+k] = uint8(max(0, min(255, v+noise)) + 0.5)
		}
	}
	return img
}
