package stain

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Dye names what colours a slide.
type Dye string

// The dyes.
const (
	Haematoxylin Dye = "haematoxylin"
	Eosin        Dye = "eosin"
	DAB          Dye = "DAB"
	Residual     Dye = "residual" // what two dyes don't explain
)

// Vector is the optical density of a dye in red, green and blue. Only its direction counts.
type Vector [3]float64

// Stains says which dyes a slide has, and the colour of each.
type Stains struct {
	Dyes    [3]Dye
	Vectors [3]Vector  // a third that is zero becomes the cross product of the others: Residual
	White   [3]float64 // light next to the tissue, 1..255 in each channel; all zero: 255
}

// QuPathHDAB are QuPath's default vectors of haematoxylin and DAB (Bankhead et al., Sci. Rep. 7, 2017), from Ruifrok
// and Johnston (Anal. Quant. Cytol. Histol. 23, 2001).
func QuPathHDAB() Stains {
	return Stains{
		Dyes:    [3]Dye{Haematoxylin, DAB, Residual},
		Vectors: [3]Vector{{0.65, 0.70, 0.29}, {0.27, 0.57, 0.78}},
	}
}

// QuPathHE are QuPath's default vectors of haematoxylin and eosin.
func QuPathHE() Stains {
	return Stains{
		Dyes:    [3]Dye{Haematoxylin, Eosin, Residual},
		Vectors: [3]Vector{{0.65, 0.70, 0.29}, {0.2159, 0.8012, 0.5581}},
	}
}

// Separator turns light into concentrations of dyes (colour deconvolution; Ruifrok and Johnston 2001). It is safe for
// concurrent use.
type Separator struct {
	stains Stains
	tables [3]Table
	// unit is what 1 of optical density counts in the separator's concentrations.
	unit float64
}

// Table gives the concentration of one dye by three look-ups.
type Table struct {
	channel [3][256]float64
	floor   float64 // concentrations below it are it
}

// At is the concentration of the dye where the light is r, g, b.
func (t *Table) At(r, g, b uint8) float64 {
	v := t.channel[0][r] + t.channel[1][g] + t.channel[2][b]
	if v < t.floor {
		return t.floor
	}
	return v
}

// span returns the smallest and the largest concentration that any light has.
func (t *Table) span() (low, high float64) {
	for k := range t.channel {
		l, h := math.Inf(1), math.Inf(-1)
		for _, v := range t.channel[k] {
			l, h = min(l, v), max(h, v)
		}
		low, high = low+l, high+h
	}
	return max(low, t.floor), max(high, t.floor)
}

// New returns QuPath's separator for these stains: vectors of length 1, optical densities log10(white / light) with
// light from 1 to white. Concentrations may be negative. Vectors in one plane, zero (but for the third) or not finite
// are errors.
func New(s Stains) (*Separator, error) {
	var err error
	if s, err = s.normalised(); err != nil {
		return nil, err
	}
	inverse, err := invert(s.Vectors)
	if err != nil {
		return nil, err
	}
	p := &Separator{stains: s, unit: 1}
	for dye := range p.tables {
		p.tables[dye].floor = math.Inf(-1)
		for c, white := range s.White {
			for v := range 256 {
				od := max(0, -math.Log10(max(float64(v), 1)/white))
				p.tables[dye].channel[c][v] = od * inverse[c][dye]
			}
		}
	}
	return p, nil
}

// HED returns the separator of scikit-image's rgb2hed: Ruifrok and Johnston's vectors of haematoxylin, eosin and DAB as
// printed, not of length 1; logarithms to base 10⁻⁶ of light/255, at least 10⁻⁶; no negative concentrations. Its
// concentrations are about a sixth of optical densities.
func HED() (*Separator, error) {
	p := &Separator{
		stains: Stains{
			Dyes:    [3]Dye{Haematoxylin, Eosin, DAB},
			Vectors: [3]Vector{{0.65, 0.70, 0.29}, {0.07, 0.99, 0.11}, {0.27, 0.57, 0.78}},
			White:   [3]float64{255, 255, 255},
		},
		unit: 1.0 / 6,
	}
	inverse, err := invert(p.stains.Vectors)
	if err != nil {
		return nil, err
	}
	for dye := range p.tables {
		for c := range 3 {
			for v := range 256 {
				p.tables[dye].channel[c][v] = math.Log(max(float64(v)/255, 1e-6)) / math.Log(1e-6) * inverse[c][dye]
			}
		}
	}
	return p, nil
}

// Stains returns what the separator was made of: its vectors as it uses them, with the third.
func (p *Separator) Stains() Stains { return p.stains }

// Unit is what an optical density of 1 counts in the separator's concentrations: 1, and 1/6 for HED.
func (p *Separator) Unit() float64 { return p.unit }

// Table returns the table of a dye. A dye that the separator doesn't know is an error.
func (p *Separator) Table(d Dye) (*Table, error) {
	for k, dye := range p.stains.Dyes {
		if dye == d {
			return &p.tables[k], nil
		}
	}
	return nil, fmt.Errorf("stain: no %s among the dyes %v of this separator", d, p.stains.Dyes)
}

// normalised checks stains and fills in what may be left out.
func (s Stains) normalised() (Stains, error) {
	if s.White == ([3]float64{}) {
		s.White = [3]float64{255, 255, 255}
	}
	for _, w := range s.White {
		if !(w >= 1 && w <= 255) {
			return s, fmt.Errorf("stain: the light next to the tissue is %v; it must be 1..255 in each channel", s.White)
		}
	}
	if s.Vectors[2] == (Vector{}) {
		a, b := s.Vectors[0].unit(), s.Vectors[1].unit()
		s.Vectors[2] = Vector{a[1]*b[2] - a[2]*b[1], a[2]*b[0] - a[0]*b[2], a[0]*b[1] - a[1]*b[0]}
		s.Dyes[2] = Residual
	}
	for k, v := range s.Vectors {
		n := v.length()
		if !(n > 1e-9 && n < 1e9) {
			return s, fmt.Errorf("stain: the vector %v of %s has no direction; "+
				"it must be finite, not zero, and unlike another dye's", v, s.Dyes[k])
		}
		s.Vectors[k] = v.unit()
	}
	return s, nil
}

func (v Vector) length() float64 { return math.Sqrt(v[0]*v[0] + v[1]*v[1] + v[2]*v[2]) }

func (v Vector) unit() Vector {
	n := v.length()
	return Vector{v[0] / n, v[1] / n, v[2] / n}
}

// invert returns the inverse of the matrix whose rows are vectors: optical densities times it are concentrations.
func invert(rows [3]Vector) ([3]Vector, error) {
	m := mat.NewDense(3, 3, nil)
	for i, v := range rows {
		m.SetRow(i, v[:])
	}
	var inverse mat.Dense
	// Beyond a condition number of 1e6, one grey level changes a concentration arbitrarily.
	if err := inverse.Inverse(m); err != nil || mat.Cond(m, 1) > 1e6 {
		return [3]Vector{}, fmt.Errorf("stain: the vectors %v lie in one plane; dyes of different colours are needed", rows)
	}
	var out [3]Vector
	for i := range out {
		for j := range out[i] {
			out[i][j] = inverse.At(i, j)
		}
	}
	return out, nil
}
