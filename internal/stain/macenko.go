package stain

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/histdist/histdist/data/imagefile"
)

// ErrEstimate says that images don't show enough of two dyes to estimate their colours.
var ErrEstimate = errors.New("the stains can't be estimated")

// MacenkoOptions are the parameters of Macenko's method; zero values become the paper's.
type MacenkoOptions struct {
	White [3]float64 // light next to the tissue, 1..255; all zero: 255
	Beta  float64    // pixels of a smaller optical density are left out; 0: 0.15
	Alpha float64    // percentile of the angles on either side, in percent, below 50; 0: 1
}

// What images must show for an estimate.
const (
	minPixels = 100
	maxPixels = 1 << 22           // are looked at
	minPart   = 0.005             // of all pixels
	minAngle  = 5 * math.Pi / 180 // between the two dyes
)

// Macenko estimates the colours of a slide's two dyes from images of it (Macenko et al., ISBI 2009). The two leading
// eigenvectors of the second moments of optical densities (base 10), over pixels with at least Beta in each channel,
// span a plane; the dyes are its directions at the Alpha-th and (100−Alpha)-th percentile of the angles. The one that
// absorbs more red is haematoxylin, against eosin and DAB alike; the other is called second. Where DAB only lies on
// haematoxylin, its estimate mixes both: 3..7° off on synthetic tissue.
//
// ErrEstimate is wrapped if the images are almost white (fewer than 100 pixels, or 0.5 % of those examined, are dense
// enough) or show a single dye (directions less than 5° apart); the caller may then use default vectors, and say so. Of
// more than 4 million pixels every n-th is examined.
func Macenko(pictures []*imagefile.Image, second Dye, o MacenkoOptions) (Stains, error) {
	pixels := 0
	for _, img := range pictures {
		if err := img.Check(); err != nil {
			return Stains{}, fmt.Errorf("stain: %w", err)
		}
		pixels += img.Width * img.Height
	}
	if pixels == 0 {
		return Stains{}, errors.New("stain: Macenko needs at least one image")
	}
	if o.Beta == 0 {
		o.Beta = 0.15
	}
	if o.Alpha == 0 {
		o.Alpha = 1
	}
	if !(o.Beta > 0 && o.Beta < 2.4) || !(o.Alpha > 0 && o.Alpha < 50) {
		return Stains{}, fmt.Errorf("stain: Macenko's beta is %v and alpha %v %%, want 0 to 2.4 and 0 to 50 %%",
			o.Beta, o.Alpha)
	}
	s := Stains{Dyes: [3]Dye{Haematoxylin, second}, Vectors: [3]Vector{{1, 0, 0}, {0, 1, 0}}, White: o.White}
	s, err := s.normalised()
	if err != nil {
		return Stains{}, err
	}
	var od [3][256]float64
	for c, white := range s.White {
		for v := range od[c] {
			od[c][v] = max(0, math.Log10(white/max(float64(v), 1)))
		}
	}
	step := 3 * ((pixels + maxPixels - 1) / maxPixels)
	pixels /= step / 3
	dense := func(visit func(Vector)) {
		at := 0 // in the current image
		for _, img := range pictures {
			for ; at+2 < len(img.Pix); at += step {
				v := Vector{od[0][img.Pix[at]], od[1][img.Pix[at+1]], od[2][img.Pix[at+2]]}
				if min(v[0], v[1], v[2]) >= o.Beta {
					visit(v)
				}
			}
			at -= len(img.Pix)
		}
	}

	var moments [3][3]float64
	n := 0
	dense(func(v Vector) {
		for a := range 3 {
			for b := a; b < 3; b++ {
				moments[a][b] += v[a] * v[b]
			}
		}
		n++
	})
	if n < minPixels || float64(n) < minPart*float64(pixels) {
		return Stains{}, fmt.Errorf("stain: %w: the images are almost white, "+
			"%d of %d pixels have an optical density of %g in each channel; want %d and %g %%, or default vectors",
			ErrEstimate, n, pixels, o.Beta, minPixels, 100*minPart)
	}
	plane, err := leading(moments)
	if err != nil {
		return Stains{}, err
	}
	angles := make([]float64, 0, n)
	dense(func(v Vector) { angles = append(angles, math.Atan2(dot(v, plane[1]), dot(v, plane[0]))) })
	slices.Sort(angles)
	low, high := percentile(angles, o.Alpha), percentile(angles, 100-o.Alpha)
	if high-low < minAngle {
		return Stains{}, fmt.Errorf("stain: %w: the images show one dye, their dense pixels' colours lie within %.1f°;"+
			" two dyes at least %.0f° apart are needed, or default vectors",
			ErrEstimate, (high-low)*180/math.Pi, minAngle*180/math.Pi)
	}
	for k, angle := range []float64{low, high} {
		sin, cos := math.Sincos(angle)
		for c := range 3 {
			s.Vectors[k][c] = cos*plane[0][c] + sin*plane[1][c]
		}
	}
	if s.Vectors[0][0] < s.Vectors[1][0] {
		s.Vectors[0], s.Vectors[1] = s.Vectors[1], s.Vectors[0]
	}
	s.Vectors[2] = Vector{}
	return s.normalised()
}

// leading returns the eigenvectors of the two largest eigenvalues of a symmetric matrix, given its upper half. The
// first points to absorption.
func leading(m [3][3]float64) ([2]Vector, error) {
	sym := mat.NewSymDense(3, nil)
	for a := range 3 {
		for b := a; b < 3; b++ {
			sym.SetSym(a, b, m[a][b])
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(sym, true) {
		return [2]Vector{}, fmt.Errorf("stain: %w: the second moments %v have no eigenvectors", ErrEstimate, m)
	}
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	var out [2]Vector
	for k := range out {
		for c := range 3 {
			out[k][c] = vectors.At(c, 2-k) // eigenvalues rise
		}
	}
	// All moments are positive, and so are all components of the first eigenvector, or all negative.
	if out[0][0]+out[0][1]+out[0][2] < 0 {
		out[0] = Vector{-out[0][0], -out[0][1], -out[0][2]}
	}
	return out, nil
}

// percentile of sorted values, interpolated linearly.
func percentile(sorted []float64, percent float64) float64 {
	position := percent / 100 * float64(len(sorted)-1)
	k := int(position)
	return interpolate(sorted[k], sorted[min(k+1, len(sorted)-1)], position-float64(k))
}

func dot(a, b Vector) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }
