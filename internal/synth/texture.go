package synth

import (
	"math"
	"math/rand/v2"
)

// noise is a smooth random field of mean 0 and deviation 1, repeating: the grain of everything that isn't a shape.
type noise struct {
	v      []float32 // [noiseSide, noiseSide]
	offset float64   // a multiple of noiseSide that makes all places positive
}

const (
	noiseSide   = 512
	noisePeriod = 5 // lattice cells that the eye sees as one period after smoothing
)

func newNoise(r *rand.Rand) *noise {
	const n = noiseSide
	v := make([]float32, n*n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	// A binomial blur in both directions hides the lattice of the bilinear interpolation.
	row := make([]float32, n)
	pass := func(start, step int) {
		for i := range n {
			at := func(k int) float32 { return v[start+(i+k+n)%n*step] }
			row[i] = (at(-2) + 4*at(-1) + 6*at(0) + 4*at(1) + at(2)) / 16
		}
		for i := range n {
			v[start+i*step] = row[i]
		}
	}
	for i := range n {
		pass(i*n, 1)
	}
	for i := range n {
		pass(i, n)
	}
	standardise(v)
	return &noise{v, 64 * noiseSide}
}

// at is the field at (x, y), with structures of about one wavelength, all in µm.
func (f *noise) at(x, y, wavelength float64) float64 {
	s := noisePeriod / wavelength
	// The offset makes the conversion to int round down.
	x, y = x*s+f.offset, y*s+f.offset
	ix, iy := int(x), int(y)
	fx, fy := float32(x-float64(ix)), float32(y-float64(iy))
	const mask = noiseSide - 1
	r0, r1 := (iy&mask)*noiseSide, ((iy+1)&mask)*noiseSide
	c0, c1 := ix&mask, (ix+1)&mask
	a := f.v[r0+c0] + (f.v[r0+c1]-f.v[r0+c0])*fx
	b := f.v[r1+c0] + (f.v[r1+c1]-f.v[r1+c0])*fx
	return float64(a + (b-a)*fy)
}

func (f *noise) nearest(x, y, wavelength float64) float64 {
	s := noisePeriod / wavelength
	const mask = noiseSide - 1
	return float64(f.v[int(y*s+f.offset)&mask*noiseSide+int(x*s+f.offset)&mask])
}

// turned is at in a frame turned by about 37°, shifted: an independent field for most purposes.
func (f *noise) turned(x, y, wavelength float64) float64 {
	return f.at(0.8*x-0.6*y+413, 0.6*x+0.8*y+171, wavelength)
}

// rough adds to the field at the wavelength its half and its quarter, as in clouds; deviation about 1.
func (f *noise) rough(x, y, wavelength float64) float64 {
	return 0.82*f.at(x, y, wavelength) + 0.47*f.turned(x, y, wavelength/2) + 0.3*f.at(y+57, x+91, wavelength/4)
}

func standardise(v []float32) {
	var sum, sq float64
	for _, x := range v {
		sum += float64(x)
		sq += float64(x) * float64(x)
	}
	mean := sum / float64(len(v))
	sd := math.Sqrt(max(sq/float64(len(v))-mean*mean, 1e-12))
	for i, x := range v {
		v[i] = float32((float64(x) - mean) / sd)
	}
}

// fibres draws strands along a direction field, on a grid like r's, by averaging noise along field lines (line integral
// convolution; Cabral and Leedom, SIGGRAPH 1993), with mean 0 and deviation 1. length and grain, the width of a strand,
// are in µm.
func fibres(r raster, dir *directions, f *noise, length, grain float64) raster {
	out := strands(r, dir, f, length, grain)
	standardise(out.v)
	return out
}

// strands are fibres of whatever mean and deviation.
func strands(r raster, dir *directions, f *noise, length, grain float64) raster {
	out := r.like()
	step := max(grain*0.7, r.cell)
	steps := int(length / 2 / step)
	sample := f.at
	if 2*grain/noisePeriod < r.cell { // the noise's lattice is finer than the grid: interpolation would show nothing
		sample = f.nearest
	}
	for j := range out.h {
		for i := range out.w {
			x0, y0 := out.x0+float64(i)*out.cell, out.y0+float64(j)*out.cell
			sum := sample(x0, y0, grain*2)
			for _, sign := range [2]float64{1, -1} {
				x, y := x0, y0
				c, s := dir.at(x, y)
				c, s = sign*c, sign*s
				for range steps {
					x += c * step
					y += s * step
					sum += sample(x, y, grain*2)
					nc, ns := dir.at(x, y)
					if nc*c+ns*s < 0 { // a direction has no sign: keep going forwards
						nc, ns = -nc, -ns
					}
					c, s = nc, ns
				}
			}
			out.v[j*out.w+i] = float32(sum)
		}
	}
	return out
}
