package synth

import (
	"errors"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"slices"
)

// SlideConfig says what slides to make. DefaultSlide gives a valid one.
type SlideConfig struct {
	Width   int     `json:"width"`   // pixels, 256..1000000
	Height  int     `json:"height"`  // pixels, 256..1000000
	MPP     float64 `json:"mpp"`     // µm per pixel, 0.2..0.55
	Marker  Marker  `json:"marker"`  // er, pr, ki67 or her2
	Seed    uint64  `json:"seed"`    // each seed is another patient
	Islands int     `json:"islands"` // pieces of tissue on the glass, 1..1000
	Tissue  float64 `json:"tissue"`  // share of the slide that is tissue, about, 0.0001..0.6
	Quality int     `json:"quality"` // of JPEG, 1..100; 0 is lossless
	Workers int     `json:"-"`       // parts made at the same time, 0: one for each processor
}

// DefaultSlide is a small slide of an ER stain at a scanner's usual 20×.
func DefaultSlide() SlideConfig {
	return SlideConfig{Width: 4096, Height: 4096, MPP: 0.5, Marker: ER, Islands: 3, Tissue: 0.4, Quality: 90}
}

// Validate reports every field that is out of its range.
func (c SlideConfig) Validate() error {
	var errs []error
	inRange := func(field string, v, lo, hi float64) {
		if !(v >= lo && v <= hi) {
			errs = append(errs, fmt.Errorf("%s is %g, must be %g..%g", field, v, lo, hi))
		}
	}
	inRange("width", float64(c.Width), 256, 1e6)
	inRange("height", float64(c.Height), 256, 1e6)
	inRange("mpp", c.MPP, 0.2, 0.55)
	inRange("islands", float64(c.Islands), 1, 1000)
	inRange("tissue", c.Tissue, 0.0001, 0.6)
	inRange("quality", float64(c.Quality), 0, 100)
	inRange("workers", float64(c.Workers), 0, 1024)
	if !slices.Contains([]Marker{ER, PR, Ki67, HER2}, c.Marker) {
		errs = append(errs, fmt.Errorf("marker is %q, must be er, pr, ki67 or her2", c.Marker))
	}
	if len(errs) > 0 {
		return fmt.Errorf("synth: %w", errors.Join(errs...))
	}
	return nil
}

// part is a square of a slide, in both stains, with the nuclei whose middles lie in it.
type part struct {
	he, ihc []uint8 // RGB [h,w,3]
	nuclei  []nucleus
}

// opticalBorder is how many pixels around a part the point spread and the sharpening see.
const opticalBorder = 12

// render makes the pixels of a rectangle of the slide; false if it is glass alone.
func (w *world) render(c SlideConfig, r image.Rectangle) (part, bool) {
	side := max(r.Dx(), r.Dy()) + 2*opticalBorder
	x0, y0 := float64(r.Min.X-opticalBorder)*c.MPP, float64(r.Min.Y-opticalBorder)*c.MPP
	extent := float64(side) * c.MPP
	coverage, some := w.coverage(x0, y0, side, c.MPP)
	if !some {
		return part{}, false
	}
	t := w.window(x0, y0, extent)
	nuclei := w.cells(t, x0, y0, extent, c.Marker)
	p := &painter{canvas: newCanvas(x0, y0, side, c.MPP), t: t, nuclei: nuclei, marker: c.Marker}
	p.index = bucketsAround(x0, y0, extent)
	for i, g := range grains(c.MPP) {
		snap := func(v float64) float64 { return math.Floor((v-2)/g.cell) * g.cell }
		s := strands(newRasterAt(snap(x0), snap(y0), extent+4+2*g.cell, g.cell), &t.along, t.noise, g.length, g.width)
		for k, v := range s.v {
			s.v[k] = float32((float64(v) - w.norms[i][0]) / w.norms[i][1])
		}
		*p.strands(i) = s
	}
	p.all()
	for i, v := range coverage {
		p.heH[i] *= v
		p.heE[i] *= v
		p.ihH[i] *= v
		p.ihD[i] *= v
	}
	lab := w.patient.laboratory
	he := transmit(lab.he, p.heH, p.heE, side, lab.heGain, lab.eoGain, 0)
	ihc := transmit(lab.ihc, p.ihH, p.ihD, side, lab.counterGain, lab.dabGain, lab.background)
	out := part{
		he:  he.scan(lab, c, coverage, r, forHESensor),
		ihc: ihc.scan(lab, c, coverage, r, forIHCSensor),
	}
	for _, n := range nuclei {
		if image.Pt(int(math.Floor(n.x/c.MPP)), int(math.Floor(n.y/c.MPP))).In(r) {
			out.nuclei = append(out.nuclei, n)
		}
	}
	return out, true
}

// coverage is how much of each pixel is tissue, 0 to 1, [side,side]; false if none is.
func (w *world) coverage(x0, y0 float64, side int, res float64) ([]float32, bool) {
	middle := (float64(side) / 2) * res
	const ragged = 150 // by how much an edge may be off the island's shape
	if w.inside(x0+middle, y0+middle) < -1.5*middle-ragged && !w.near(x0, y0, float64(side)*res, ragged) {
		return nil, false
	}
	v := make([]float32, side*side)
	some := false
	for j := range side {
		for i := range side {
			d := w.inside(x0+(float64(i)+0.5)*res, y0+(float64(j)+0.5)*res)
			if d > -1 {
				v[j*side+i] = float32(smoothstep(-1, 1, d))
				some = true
			}
		}
	}
	return v, some
}

// near reports whether an island comes within reach of a square.
func (w *world) near(x0, y0, side, reach float64) bool {
	for i := range w.islands {
		s := &w.islands[i]
		far := 1.5*s.reach() + reach
		if s.x > x0-far && s.x < x0+side+far && s.y > y0-far && s.y < y0+side+far {
			return true
		}
	}
	return false
}

// scan is expose for a part: the sensor's noise belongs to the place, and glass, of one colour, has none.
func (l light) scan(lab laboratory, c SlideConfig, coverage []float32, r image.Rectangle, p purpose) []uint8 {
	seen := l.blurred(lab.blur / c.MPP)
	wide := seen.blurred(0.9)
	pix := make([]uint8, 3*r.Dx()*r.Dy())
	var source *rand.Rand
	for y := range r.Dy() {
		for x := range r.Dx() {
			if x%noiseRow == 0 {
				source = randomAt(c.Seed, (r.Min.X+x)/noiseRow, r.Min.Y+y, p)
			}
			i := (y+opticalBorder)*l.side + x + opticalBorder
			common := source.NormFloat64()
			for k := range l.ch {
				v := float64(seen.ch[k][i]) + lab.sharpening*float64(seen.ch[k][i]-wide.ch[k][i])
				noise := lab.noise * (0.8*common + 0.6*source.NormFloat64()) * math.Sqrt(max(v, 0)/255+0.08)
				noise *= float64(coverage[i])
				pix[3*(y*r.Dx()+x)+k] = uint8(max(0, min(255, v+noise)) + 0.5)
			}
		}
	}
	return pix
}

// noiseRow is how many pixels of a row share a generator of noise. Parts begin at multiples of it.
const noiseRow = 512

// glass is the colour next to the tissue.
func (w *world) glass() (he, ihc [3]uint8) {
	lab := w.patient.laboratory
	for k, v := range lab.he.Light(0, 0) {
		he[k] = uint8(v + 0.5)
	}
	for k, v := range lab.ihc.Light(0, lab.background) {
		ihc[k] = uint8(v + 0.5)
	}
	return he, ihc
}
