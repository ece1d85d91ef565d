package evaluate

import (
	"fmt"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/nuclei"
)

// pairMeasure is a measure of a real image and another of the same tissue. It has one of the two functions.
type pairMeasure struct {
	id, group, name, unit string
	better                Better
	decimals              int
	part                  string                                              // of the pair's analysis, for problems
	pixels                func(real, other *imageFile) (float64, error)       // of images of one size; cached
	histograms            func(real, other *stain.Histogram) (float64, error) // of DAB
}

// pairMeasures are in the order of columns; those of pixels also in that of a record in the cache. Columns, metrics and
// tests follow from this list.
var pairMeasures = [...]pairMeasure{
	{"ssim", groupPixels, "SSIM", "", Higher, 4, "SSIM", ofImages(metrics.SSIM), nil},
	{"psnr", groupPixels, "PSNR", "dB", Higher, 3, "PSNR", ofImages(metrics.PSNR), nil},
	{"nuclei_dice", groupNuclei, "Dice of the nuclear masks", "", Higher, 3, "Dice", dice, nil},
	{"dab_jsd", groupStain, "DAB histograms: Jensen–Shannon divergence", "bit", Lower, 4, "", nil, stain.JSD},
	{"dab_kl", groupStain, "DAB histograms: Kullback–Leibler divergence" + fromReal, "bit", Lower, 4, "", nil, stain.KL},
}

// fromReal ends the name of a measure; a test of two tables leaves it out.
const fromReal = " of virtual from real"

// ofImages measures decoded images in the official script's order: generated, real.
func ofImages(f func(generated, real *imagefile.Image) (float64, error)) func(real, other *imageFile) (float64, error) {
	return func(real, other *imageFile) (float64, error) { return f(other.image, real.image) }
}

// dice is the overlap of the nuclei of two images.
func dice(real, other *imageFile) (float64, error) {
	x, err := real.nuclei()
	if err != nil {
		return 0, err
	}
	y, err := other.nuclei()
	if err != nil {
		return 0, err
	}
	return nuclei.Dice(x, y)
}

// compare measures a pair. A measure that can't be computed is NaN and a problem; an empty histogram is one already.
func (m *measurer) compare(where string, real, other *imageFile) ([]float64, error) {
	values := unknowns(len(pairMeasures))
	var parts []string
	var places []int // of measures of pixels
	for i, measure := range pairMeasures {
		if measure.pixels != nil {
			places, parts = append(places, i), append(parts, measure.part)
		} else if v, err := measure.histograms(&real.values.histogram, &other.values.histogram); err == nil {
			values[i] = v
		}
	}
	k := m.key(map[string]string{"real": real.hash, "other": other.hash})
	record, ok, err := read[float64](m.cache, k)
	if err != nil {
		return nil, err
	}
	if ok && len(record) == len(places) {
		for n, i := range places {
			values[i] = record[n]
		}
		return values, nil
	}
	if err = real.decode(); err == nil {
		err = other.decode()
	}
	if x, y := real.image, other.image; err == nil && (x.Width != y.Width || x.Height != y.Height) {
		err = fmt.Errorf("%s has %d×%d pixels, %s has %d×%d: want one size",
			real.path, x.Width, x.Height, other.path, y.Width, y.Height)
	}
	if err != nil {
		last := len(parts) - 1
		m.problem(fmt.Sprintf("%s (%s and %s)", where, strings.Join(parts[:last], ", "), parts[last]), err)
		return values, nil
	}
	record = nil
	for _, i := range places {
		v, err := pairMeasures[i].pixels(real, other)
		if err != nil {
			m.problem(fmt.Sprintf("%s (%s)", where, pairMeasures[i].part), err)
			continue
		}
		values[i], record = v, append(record, v)
	}
	if len(record) < len(places) {
		return values, nil // not cached: the next run is to report it too
	}
	return values, write(m.cache, k, record)
}
