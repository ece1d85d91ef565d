package nuclei

import (
	"fmt"
	"math"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
)

// Signal is what nuclei stand out in.
type Signal string

// The signals.
const (
	// RedDensity is the optical density in red, which haematoxylin and DAB absorb and eosin hardly does: for nuclear
	// markers. Strong DAB hides the haematoxylin, so only their sum shows the nucleus.
	RedDensity Signal = "red"
	// HaematoxylinDensity is the concentration of haematoxylin: for H&E, and for membrane markers, whose DAB is no
	// nucleus.
	HaematoxylinDensity Signal = "haematoxylin"
)

// SignalOf is what nuclei stand out in, in a stain for a marker: DAB hides them in nuclear stains, in those of
// membranes, of which HER2 is known here, it is not in them.
func SignalOf(marker string) Signal {
	if strings.EqualFold(marker, "HER2") {
		return HaematoxylinDensity
	}
	return RedDensity
}

// Options say what a nucleus looks like. Zero values become the defaults.
type Options struct {
	Signal   Signal  // "": RedDensity
	MPP      float64 // µm per pixel, 0.1..2; 0: 0.5
	Contrast float64 // optical density that a nucleus has more than its surroundings, 0.001..2; 0: 0.06
	MinArea  float64 // µm²; 0: 8
	MaxArea  float64 // µm²; 0: 400, QuPath's
}

// Nucleus is one that was found.
type Nucleus struct {
	// X and Y are its centroid in pixels: the middle of the first pixel is (0.5, 0.5).
	X, Y         float64
	Pixels       int
	Area         float64 // µm²
	Haematoxylin float64 // mean concentration over its pixels, as optical density
	DAB          float64 // likewise; 0 if the separator knows no DAB
}

// Detection is what was found in an image.
type Detection struct {
	Width, Height int
	// Labels is the mask, [Height,Width]: 0 outside nuclei, k in Nuclei[k-1].
	Labels []int32
	// Nuclei are in the order of their first pixels, row by row.
	Nuclei []Nucleus
	HasDAB bool // whether DAB was measured
}

// What a nucleus looks like, in µm and optical density. Chosen on synthetic tissue of three markers, checked by eye on
// sections; tests use other patients.
const (
	smoothing = 0.5  // deviation of the Gaussian against noise
	surround  = 7.0  // of the Gaussian that a nucleus must be denser than
	nuclear   = 1.65 // of the difference's narrower Gaussian: best for radii of about 1.8 times that
	dogRatio  = 1.6  // of the two; nearly the Laplacian (Marr and Hildreth 1980)
	holeArea  = 12.0 // µm² of pale chromatin that a rim encloses at most
	// A second peak needs a valley of so much before it, and of so much of the peak. Dark nuclei have deeper chromatin.
	peakDepth, peakPart = 0.012, 0.15
)

// Reach is how far around a nucleus, in µm, pixels have a say in whether it is found: four deviations of the wide
// average, and the diameter of the largest nucleus. Parts of an image that overlap by twice as much show every nucleus
// as the whole does.
const Reach = 4*surround + 23

// Detect finds nuclei: pixels denser by Contrast than a wide average around them, with holes filled, split by a
// watershed between the peaks of a difference of Gaussians, and of the right size. The separator measures them and
// provides the signal if that is haematoxylin. Of two overlapping nuclei the darker one gets a little too much.
//
// It takes about 45 bytes a pixel.
func Detect(img *imagefile.Image, p *stain.Separator, o Options) (*Detection, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	if err := img.Check(); err != nil {
		return nil, fmt.Errorf("nuclei: %w", err)
	}
	haematoxylin, err := p.Table(stain.Haematoxylin)
	if err != nil {
		return nil, fmt.Errorf("nuclei: %w", err)
	}
	w, h := img.Width, img.Height
	density := redDensity(img, p.Stains().White[0])
	if o.Signal == HaematoxylinDensity {
		for i := range density.v {
			c := haematoxylin.At(img.Pix[3*i], img.Pix[3*i+1], img.Pix[3*i+2])
			density.v[i] = float32(max(0, c/p.Unit()))
		}
	}
	a, b, tmp := newPlane(w, h), newPlane(w, h), newPlane(w, h)

	density.gaussian(a, tmp, smoothing/o.MPP)
	density.gaussian(b, tmp, surround/o.MPP)
	mask := make([]bool, w*h)
	for i := range mask {
		mask[i] = a.v[i]-b.v[i] > float32(o.Contrast)
	}
	fillHoles(mask, w, h, int(holeArea/(o.MPP*o.MPP)))

	density.gaussian(a, tmp, nuclear/o.MPP)
	density.gaussian(b, tmp, dogRatio*nuclear/o.MPP)
	for i := range a.v {
		a.v[i] -= b.v[i]
	}
	labels, basins := watershed(a, mask, peakDepth, peakPart)
	d := &Detection{Width: w, Height: h, Labels: labels}
	dab, err := p.Table(stain.DAB)
	d.HasDAB = err == nil
	d.measure(img, basins, func(n *Nucleus, r, g, b uint8) {
		n.Haematoxylin += haematoxylin.At(r, g, b) / p.Unit()
		if d.HasDAB {
			n.DAB += dab.At(r, g, b) / p.Unit()
		}
	})
	d.keep(o)
	return d, nil
}

// complete fills in defaults and reports values out of range.
func (o Options) complete() (Options, error) {
	if o.Signal == "" {
		o.Signal = RedDensity
	}
	if o.Signal != RedDensity && o.Signal != HaematoxylinDensity {
		return o, fmt.Errorf("nuclei: the signal is %q; it must be %q or %q", o.Signal, RedDensity, HaematoxylinDensity)
	}
	for _, f := range []struct {
		name             string
		v                *float64
		low, high, value float64
	}{
		{"µm per pixel", &o.MPP, 0.1, 2, 0.5},
		{"contrast", &o.Contrast, 0.001, 2, 0.06},
		{"smallest area in µm²", &o.MinArea, 0.1, 1e6, 8},
		{"largest area in µm²", &o.MaxArea, 0.1, 1e6, 400},
	} {
		if *f.v == 0 {
			*f.v = f.value
		}
		if !(*f.v >= f.low && *f.v <= f.high) {
			return o, fmt.Errorf("nuclei: %s is %v; it must be %v..%v", f.name, *f.v, f.low, f.high)
		}
	}
	if o.MinArea > o.MaxArea {
		return o, fmt.Errorf("nuclei: the smallest area, %v µm², is above the largest, %v µm²", o.MinArea, o.MaxArea)
	}
	return o, nil
}

func redDensity(img *imagefile.Image, white float64) plane {
	var table [256]float32
	for v := range table {
		table[v] = float32(max(0, math.Log10(white/max(float64(v), 1))))
	}
	out := newPlane(img.Width, img.Height)
	for i := range out.v {
		out.v[i] = table[img.Pix[3*i]]
	}
	return out
}

// measure turns basins into nuclei, numbered in the order of their first pixels. add adds the dyes of a pixel.
func (d *Detection) measure(img *imagefile.Image, basins int, add func(n *Nucleus, r, g, b uint8)) {
	number := make([]int32, basins+1)
	for i, k := range d.Labels {
		if k == 0 {
			continue
		}
		if number[k] == 0 {
			d.Nuclei = append(d.Nuclei, Nucleus{})
			number[k] = int32(len(d.Nuclei))
		}
		d.Labels[i] = number[k]
		n := &d.Nuclei[number[k]-1]
		n.Pixels++
		n.X += float64(i%d.Width) + 0.5
		n.Y += float64(i/d.Width) + 0.5
		add(n, img.Pix[3*i], img.Pix[3*i+1], img.Pix[3*i+2])
	}
	for k := range d.Nuclei {
		n := &d.Nuclei[k]
		pixels := float64(n.Pixels)
		n.X, n.Y, n.Haematoxylin, n.DAB = n.X/pixels, n.Y/pixels, n.Haematoxylin/pixels, n.DAB/pixels
	}
}

func (d *Detection) keep(o Options) {
	number := make([]int32, len(d.Nuclei)+1)
	kept := d.Nuclei[:0]
	for k, n := range d.Nuclei {
		if n.Area = float64(n.Pixels) * o.MPP * o.MPP; n.Area >= o.MinArea && n.Area <= o.MaxArea {
			kept = append(kept, n)
			number[k+1] = int32(len(kept))
		}
	}
	d.Nuclei = kept
	for i, k := range d.Labels {
		d.Labels[i] = number[k]
	}
}
