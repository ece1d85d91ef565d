package evaluate

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/experiments/metrics/stain"
	"github.com/histdist/histdist/experiments/metrics/stain/nuclei"
)

// pictureMeasure is a number that one picture has.
type pictureMeasure struct {
	id, group, name, unit string
	decimals              int
	// statistics says which comparisons of real and virtual pictures are lines of the results.
	bias, absolute, pearson, ratio bool
	// primary measures stand first in figures.
	primary bool
}

// pictureMeasures are in the order of a record in the cache. After them comes the histogram of DAB.
var pictureMeasures = [...]pictureMeasure{
	{group: groupStain, id: "dab_mean", name: "Mean DAB", unit: "OD", decimals: 4, bias: true, absolute: true, pearson: true},
	{group: groupStain, id: "dab90", name: "DAB90", unit: "OD", decimals: 4, bias: true, absolute: true, pearson: true, primary: true},
	{group: groupStain, id: "dab90_hed", name: "DAB90, scikit-image HED", unit: "HED", decimals: 4, pearson: true},
	{group: groupStain, id: "positive_area", name: "DAB-positive area", unit: "%", decimals: 2, bias: true, absolute: true, pearson: true, primary: true},
	{group: groupStain, id: "iod", name: "Integrated optical density of positive pixels", unit: "OD·px", decimals: 0, ratio: true, pearson: true},
	{group: groupNuclei, id: "nuclei", name: "Nuclei", unit: "1/mm²", decimals: 0, bias: true, pearson: true},
	{group: groupNuclei, id: "ki67_index", name: "Positive nuclei (Ki67 index)", unit: "%", decimals: 2, bias: true, absolute: true, pearson: true, primary: true},
	{group: groupNuclei, id: "hscore", name: "H-score (0–300)", decimals: 1, bias: true, absolute: true, pearson: true, primary: true},
	{group: groupNuclei, id: "allred", name: "Allred score (0–8)", decimals: 2, bias: true, absolute: true},
}

// pictureValues are the measures of one picture and its histogram.
type pictureValues struct {
	values    []float64
	size      [2]int // width, height
	histogram stain.Histogram
}

// picture is a picture that is decoded when its pixels are needed.
type picture struct {
	path, hash string
	read       imagefile.Options
	data       []byte
	image      *imagefile.Image
	nuclei     *nuclei.Detection
	err        error
}

// open reads and hashes a file.
func open(path string, read imagefile.Options) (*picture, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &picture{path: path, hash: origin.HashBytes(data), read: read, data: data}, nil
}

func (p *picture) decode() (*imagefile.Image, error) {
	if p.image == nil && p.err == nil {
		if p.image, p.err = imagefile.Decode(p.data, p.read); p.err != nil {
			p.err = fmt.Errorf("%s: %w", p.path, p.err)
		}
	}
	return p.image, p.err
}

// detect finds the nuclei of a picture once.
func (m *measurer) detect(p *picture) (*nuclei.Detection, error) {
	if p.nuclei != nil {
		return p.nuclei, nil
	}
	img, err := p.decode()
	if err != nil {
		return nil, err
	}
	p.nuclei, err = nuclei.Detect(img, m.separator, nuclei.Options{MPP: m.settings.MPP, Signal: m.settings.NucleiSignal})
	return p.nuclei, err
}

// scores are the nuclei in a square millimetre, the Ki67 index, the H-score and the Allred score; a picture without nuclei has only the
// first, 0.
func (m *measurer) scores(p *picture) ([]float64, error) {
	d, err := m.detect(p)
	if err != nil {
		return nil, err
	}
	grades, err := d.Grade(nuclei.QuPathThresholds())
	if err != nil {
		return nil, err
	}
	area := float64(d.Width) * float64(d.Height) * m.settings.MPP * m.settings.MPP / 1e6
	values := []float64{float64(grades.Total()) / area, math.NaN(), math.NaN(), math.NaN()}
	s, err := grades.Scores()
	if errors.Is(err, nuclei.ErrNoNuclei) {
		return values, nil
	}
	values[1], values[2], values[3] = s.Ki67Index, s.HScore, float64(s.Allred)
	return values, err
}

// picture measures one picture. A measure that can't be computed is NaN and a problem; the others are there.
func (m *measurer) picture(p *picture) (*pictureValues, error) {
	k := m.key(map[string]string{"picture": p.hash})
	record, ok, err := m.cache.numbers(k)
	if err != nil {
		return nil, err
	}
	n := len(pictureMeasures)
	if ok && len(record) == n+2+stain.Bins {
		out := &pictureValues{values: record[:n:n], size: [2]int{int(record[n]), int(record[n+1])}}
		for k, v := range record[n+2:] {
			out.histogram.Counts[k] = uint64(v)
		}
		return out, nil
	}
	img, err := p.decode()
	if err != nil {
		return nil, err
	}
	out := &pictureValues{size: [2]int{img.Width, img.Height}}
	whole := true
	failed := func(name string, err error) bool {
		if err != nil {
			whole = false
			m.problem(fmt.Sprintf("%s (%s)", p.path, name), err)
		}
		return err != nil
	}
	stains := unknowns(5)
	if dab, err := stain.Measure(img, m.separator, stain.DAB, m.settings.PositiveDAB); !failed("DAB", err) {
		stains[0], stains[1], stains[3], stains[4] = dab.Mean, dab.MeanFromP90, 100*dab.PositiveFraction, dab.IntegratedPositive
		out.histogram = dab.Histogram
	}
	if hed, err := stain.Measure(img, m.hed, stain.DAB, m.settings.PositiveDAB); !failed("DAB by HED", err) {
		stains[2] = hed.MeanFromP90
	}
	scores, err := m.scores(p)
	if failed("nuclei", err) {
		scores = unknowns(4)
	}
	out.values = append(stains, scores...)
	if !whole {
		return out, nil // not cached: the next run is to report it too
	}
	record = append(slices.Clone(out.values), float64(img.Width), float64(img.Height))
	for _, count := range out.histogram.Counts {
		record = append(record, float64(count)) // exact: below 2^53
	}
	if err := m.cache.putNumbers(k, record); err != nil {
		return nil, err
	}
	return out, nil
}
