package evaluate

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/membrane"
	"github.com/histdist/histdist/internal/stain/nuclei"
)

// imageMeasure is a measure of one image.
type imageMeasure struct {
	id, group, name, unit string
	decimals              int
	results               comparison
	part                  string // of the image's analysis, for problems
	of                    func(*imageFile) (float64, error)
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

// imageMeasures are in the order of a record in the cache. After them comes the histogram of DAB. Columns, metrics and
// tests follow from this list.
var imageMeasures = [...]imageMeasure{
	{
		"dab_mean", groupStain, "Mean DAB", "OD", 4, bias | absolute | pearson, "DAB",
		func(p *imageFile) (float64, error) { v, err := p.dab(); return v.Mean, err },
	},
	{
		"dab90", groupStain, "DAB90", "OD", 4, bias | absolute | pearson, "DAB",
		func(p *imageFile) (float64, error) { v, err := p.dab(); return v.MeanFromP90, err },
	},
	{
		"dab90_hed", groupStain, "DAB90, scikit-image HED", "HED", 4, pearson, "DAB by HED",
		func(p *imageFile) (float64, error) { v, err := p.hed(); return v.MeanFromP90, err },
	},
	{
		"positive_area", groupStain, "DAB-positive area", "%", 2, bias | absolute | pearson, "DAB",
		func(p *imageFile) (float64, error) { v, err := p.dab(); return 100 * v.PositiveFraction, err },
	},
	{
		"iod", groupStain, "Integrated optical density of positive pixels", "OD·px", 0, ratio | pearson, "DAB",
		func(p *imageFile) (float64, error) { v, err := p.dab(); return v.IntegratedPositive, err },
	},
	{
		"nuclei", groupNuclei, "Nuclei", "1/mm²", 0, bias | absolute | pearson, "nuclei",
		func(p *imageFile) (float64, error) { v, err := p.scores(); return v.perMM2, err },
	},
	{
		"ki67_index", groupNuclei, "Positive nuclei (Ki67 index)", "%", 2, bias | absolute | pearson, "nuclei",
		func(p *imageFile) (float64, error) { v, err := p.scores(); return v.ki67, err },
	},
	{
		"hscore", groupNuclei, "H-score (0–300)", "", 1, bias | absolute | pearson, "nuclei",
		func(p *imageFile) (float64, error) { v, err := p.scores(); return v.hscore, err },
	},
	{
		"allred", groupNuclei, "Allred score (0–8)", "", 2, bias | absolute, "nuclei",
		func(p *imageFile) (float64, error) { v, err := p.scores(); return v.allred, err },
	},
	{
		"sharpness", groupSharpness, "Sharpness (variance of the Laplacian)", "", 1, ratio, "sharpness",
		func(p *imageFile) (float64, error) { return metrics.Sharpness(p.image) },
	},
	{
		"fine_power", groupSharpness, "Power above half of Nyquist's frequency", "", 2, ratio, "fine power",
		func(p *imageFile) (float64, error) { return metrics.FinePower(p.image) },
	},
}

// membraneMeasures come after them where nuclei are looked for as in stains of membranes.
var membraneMeasures = [...]imageMeasure{
	{
		"membrane_share", groupNuclei, "Cells with a complete membrane (2+, 3+)", "%", 2, bias | absolute | pearson,
		"membranes",
		func(p *imageFile) (float64, error) { v, err := p.membranes(); return 100 * v.share, err },
	},
	{
		"membrane_score", groupNuclei, "Membrane score (0–3)", "", 2, bias | absolute, "membranes",
		func(p *imageFile) (float64, error) { v, err := p.membranes(); return v.score, err },
	},
}

// imageMeasures are those that the settings ask for.
func (s Settings) imageMeasures() []imageMeasure {
	if s.NucleiSignal != nuclei.HaematoxylinDensity {
		return imageMeasures[:]
	}
	return slices.Concat(imageMeasures[:], membraneMeasures[:])
}

// imageValues are the measures of one image and its histogram.
type imageValues struct {
	values    []float64
	size      [2]int // width, height
	histogram stain.Histogram
}

// imageFile is an image file with what its measures share. Each part is computed once, when a measure needs it.
type imageFile struct {
	path, hash string
	read       imagefile.Options
	data       []byte
	image      *imagefile.Image // nil until decode
	dab, hed   func() (stain.Intensity, error)
	nuclei     func() (*nuclei.Detection, error)
	scores     func() (scores, error)
	membranes  func() (membranes, error)
	values     *imageValues
}

// scores are of an image's nuclei. Without nuclei perMM2 is 0, the others NaN.
type scores struct{ perMM2, ki67, hscore, allred float64 }

// membranes are scores of an image's membranes, NaN without nuclei.
type membranes struct{ share, score float64 }

// open reads and hashes a file.
func open(path string, read imagefile.Options) (*imageFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &imageFile{path: path, hash: origin.HashBytes(data), read: read, data: data}, nil
}

// decode fills in the image.
func (p *imageFile) decode() (err error) {
	if p.image == nil {
		if p.image, err = imagefile.Decode(p.data, p.read); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
	}
	return nil
}

// open opens a file to be measured. Its parts need the image.
func (m *measurer) open(path string) (*imageFile, error) {
	p, err := open(path, m.settings.read())
	if err != nil {
		return nil, err
	}
	p.dab = sync.OnceValues(func() (stain.Intensity, error) {
		return stain.Measure(p.image, m.separator, stain.DAB, m.settings.PositiveDAB)
	})
	p.hed = sync.OnceValues(func() (stain.Intensity, error) {
		return stain.Measure(p.image, m.hed, stain.DAB, m.settings.PositiveDAB)
	})
	o := nuclei.Options{MPP: m.settings.MPP, Signal: m.settings.NucleiSignal}
	p.nuclei = sync.OnceValues(func() (*nuclei.Detection, error) { return nuclei.Detect(p.image, m.separator, o) })
	p.scores = sync.OnceValues(func() (scores, error) { return m.scores(p) })
	p.membranes = sync.OnceValues(func() (membranes, error) { return m.membranes(p) })
	return p, nil
}

func (m *measurer) scores(p *imageFile) (scores, error) {
	d, err := p.nuclei()
	if err != nil {
		return scores{}, err
	}
	grades, err := d.Grade(nuclei.QuPathThresholds())
	if err != nil {
		return scores{}, err
	}
	area := float64(d.Width) * float64(d.Height) * m.settings.MPP * m.settings.MPP / 1e6
	out := scores{float64(grades.Total()) / area, math.NaN(), math.NaN(), math.NaN()}
	s, err := grades.Scores()
	if errors.Is(err, nuclei.ErrNoNuclei) {
		return out, nil
	}
	out.ki67, out.hscore, out.allred = s.Ki67Index, s.HScore, float64(s.Allred)
	return out, err
}

func (m *measurer) membranes(p *imageFile) (membranes, error) {
	d, err := p.nuclei()
	if err != nil {
		return membranes{}, err
	}
	thresholds := membrane.DefaultThresholds()
	cells, err := membrane.Measure(p.image, d, m.separator, m.settings.MPP, thresholds)
	if err != nil {
		return membranes{}, err
	}
	grades := membrane.Grade(cells, thresholds)
	if grades.Total() == 0 {
		return membranes{math.NaN(), math.NaN()}, nil
	}
	share, err := grades.Share()
	if err != nil {
		return membranes{}, err
	}
	score, err := grades.Score()
	return membranes{share, float64(score)}, err
}

// image measures one image. A measure that can't be computed is NaN and a problem.
func (m *measurer) image(p *imageFile) (*imageValues, error) {
	k := m.key(map[string]string{"picture": p.hash})
	record, ok, err := read[float64](m.cache, k)
	if err != nil {
		return nil, err
	}
	measures := m.settings.imageMeasures()
	n := len(measures)
	if ok && len(record) == n+2+stain.Bins {
		out := &imageValues{values: record[:n:n], size: [2]int{int(record[n]), int(record[n+1])}}
		for k, v := range record[n+2:] {
			out.histogram.Counts[k] = uint64(v)
		}
		return out, nil
	}
	if err := p.decode(); err != nil {
		return nil, err
	}
	out := &imageValues{values: unknowns(n), size: [2]int{p.image.Width, p.image.Height}}
	whole := true
	for i, measure := range measures {
		v, err := measure.of(p)
		if err != nil {
			whole = false
			m.problem(fmt.Sprintf("%s (%s)", p.path, measure.part), err)
			continue
		}
		out.values[i] = v
	}
	if v, err := p.dab(); err == nil {
		out.histogram = v.Histogram
	}
	if !whole {
		return out, nil // not cached, so that the next run reports it too
	}
	record = append(slices.Clone(out.values), float64(p.image.Width), float64(p.image.Height))
	for _, count := range out.histogram.Counts {
		record = append(record, float64(count)) // exact: below 2^53
	}
	if err := write(m.cache, k, record); err != nil {
		return nil, err
	}
	return out, nil
}
