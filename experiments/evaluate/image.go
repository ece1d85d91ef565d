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

// imageMeasure is a measure of one image.
type imageMeasure struct {
	id, group, name, unit string
	decimals              int
	results               comparison
}

// comparison says which comparisons of a measure between real and virtual images are in the results.
type comparison int

const (
	bias comparison = 1 << iota
	absolute
	pearson
	ratio
)

func (m imageMeasure) has(c comparison) bool { return m.results&c != 0 }

// imageMeasures are in the order of a record in the cache. After them comes the histogram of DAB.
var imageMeasures = [...]imageMeasure{
	{"dab_mean", groupStain, "Mean DAB", "OD", 4, bias | absolute | pearson},
	{"dab90", groupStain, "DAB90", "OD", 4, bias | absolute | pearson},
	{"dab90_hed", groupStain, "DAB90, scikit-image HED", "HED", 4, pearson},
	{"positive_area", groupStain, "DAB-positive area", "%", 2, bias | absolute | pearson},
	{"iod", groupStain, "Integrated optical density of positive pixels", "OD·px", 0, ratio | pearson},
	{"nuclei", groupNuclei, "Nuclei", "1/mm²", 0, bias | pearson},
	{"ki67_index", groupNuclei, "Positive nuclei (Ki67 index)", "%", 2, bias | absolute | pearson},
	{"hscore", groupNuclei, "H-score (0–300)", "", 1, bias | absolute | pearson},
	{"allred", groupNuclei, "Allred score (0–8)", "", 2, bias | absolute},
}

// imageValues are the measures of one image and its histogram.
type imageValues struct {
	values    []float64
	size      [2]int // width, height
	histogram stain.Histogram
}

// imageFile is an image file that is decoded when its pixels are needed.
type imageFile struct {
	path, hash string
	read       imagefile.Options
	data       []byte
	image      *imagefile.Image
	nuclei     *nuclei.Detection
	err        error
}

// open reads and hashes a file.
func open(path string, read imagefile.Options) (*imageFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &imageFile{path: path, hash: origin.HashBytes(data), read: read, data: data}, nil
}

func (p *imageFile) decode() (*imagefile.Image, error) {
	if p.image == nil && p.err == nil {
		if p.image, p.err = imagefile.Decode(p.data, p.read); p.err != nil {
			p.err = fmt.Errorf("%s: %w", p.path, p.err)
		}
	}
	return p.image, p.err
}

// detect finds the nuclei of an image once.
func (m *measurer) detect(p *imageFile) (*nuclei.Detection, error) {
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

// scores are nuclei per square millimetre, Ki67 index, H-score and Allred score. Without nuclei the first is 0, the
// others NaN.
func (m *measurer) scores(p *imageFile) ([]float64, error) {
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

// image measures one image. A measure that can't be computed is NaN and a problem.
func (m *measurer) image(p *imageFile) (*imageValues, error) {
	k := m.key(map[string]string{"picture": p.hash})
	record, ok, err := read[float64](m.cache, k)
	if err != nil {
		return nil, err
	}
	n := len(imageMeasures)
	if ok && len(record) == n+2+stain.Bins {
		out := &imageValues{values: record[:n:n], size: [2]int{int(record[n]), int(record[n+1])}}
		for k, v := range record[n+2:] {
			out.histogram.Counts[k] = uint64(v)
		}
		return out, nil
	}
	img, err := p.decode()
	if err != nil {
		return nil, err
	}
	out := &imageValues{size: [2]int{img.Width, img.Height}}
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
		stains[0], stains[1], stains[3], stains[4] = dab.Mean, dab.MeanFromP90, 100*dab.PositiveFraction,
			dab.IntegratedPositive
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
		return out, nil // not cached, so that the next run reports it too
	}
	record = append(slices.Clone(out.values), float64(img.Width), float64(img.Height))
	for _, count := range out.histogram.Counts {
		record = append(record, float64(count)) // exact: below 2^53
	}
	if err := write(m.cache, k, record); err != nil {
		return nil, err
	}
	return out, nil
}
