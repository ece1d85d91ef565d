package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/experiments/metrics/stain"
	"github.com/histdist/histdist/experiments/metrics/stain/nuclei"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/parallel"
)

// measuresVersion is part of the keys of measures: a change of what is measured changes it, so that no cached value is taken for what it isn't.
const measuresVersion = "1"

// source is one of the sets that pictures come from.
type source int

const (
	realSet source = iota
	virtualSet
	heSet
	sources
)

// String names a source in columns.
func (s source) String() string { return [...]string{"real", "virtual", "he"}[s] }

// path of a pair's picture; "" if it has none.
func (s source) path(p Match) string { return [...]string{p.Real, p.Fake, p.HE}[s] }

// hash of a row's file.
func (s source) hash(r *Row) *string { return [...]*string{&r.RealHash, &r.FakeHash, &r.HEHash}[s] }

// candidates are what is compared with the real pictures: the virtual ones, and the H&E as the floor.
var candidates = [...]struct {
	source
	prefix string // of columns
}{{virtualSet, ""}, {heSet, "floor_"}}

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

// measurer measures pictures.
type measurer struct {
	settings  Settings
	separator *stain.Separator
	hed       *stain.Separator
	origin    origin.Origin // of measures, without the files
	cache     *Cache
	rows      []Row
	progress  func(done int) error
	problem   func(where string, err error)
}

// measured is the outcome of all pairs.
type measured struct {
	pictures [sources][][]float64      // measure → pair
	pairs    [len(candidates)]pairwise // by candidate
	pooled   [sources]stain.Histogram  // all pictures of a set
	halves   [2]stain.Histogram        // of the real ones, for the ceiling
	readable [sources][]bool           // could be read and measured
	sizes    map[[2]int]int            // of real pictures
	origins  map[Statement]int         // of virtual pictures; Files is 0
	reals    int                       // real pictures that say they are virtual
}

// pairwise are measures of pairs, by pair.
type pairwise struct{ ssim, psnr, dice, jsd, kl []float64 }

// unknowns are n values that are not known yet.
func unknowns(n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = math.NaN()
	}
	return values
}

func newMeasured(n int) *measured {
	m := &measured{sizes: map[[2]int]int{}, origins: map[Statement]int{}}
	for s := range sources {
		m.readable[s] = make([]bool, n)
		for range pictureMeasures {
			m.pictures[s] = append(m.pictures[s], unknowns(n))
		}
	}
	for c := range m.pairs {
		m.pairs[c] = pairwise{unknowns(n), unknowns(n), unknowns(n), unknowns(n), unknowns(n)}
	}
	return m
}

// key is that of the measures of files with these hashes.
func (m *measurer) key(files map[string]string) key {
	o := m.origin
	o.Sources = files
	return o.Key()
}

// pictures measures all pairs, as many at a time as there are workers. half says for each pair to which half its real picture belongs.
func (m *measurer) run(ctx context.Context, workers int, half []int) (*measured, error) {
	out := newMeasured(len(m.rows))
	var mu sync.Mutex
	done := 0
	err := parallel.Each(ctx, len(m.rows), workers, func(i int) error {
		p, err := m.pair(&m.rows[i])
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		p.into(out, i, half[i])
		done++
		return m.progress(done)
	})
	return out, err
}

// pairResult is what one pair was measured for; files that can't be read have no values.
type pairResult struct {
	pictures [sources]*pictureValues
	pairs    [len(candidates)][]float64 // ssim, psnr, dice
	origin   []imagefile.Pair
	realSays bool
}

func (p *pairResult) into(out *measured, i, half int) {
	for s, v := range p.pictures {
		if v == nil {
			continue
		}
		out.readable[s][i] = true
		for k, value := range v.values {
			out.pictures[s][k][i] = value
		}
		out.pooled[s].Add(&v.histogram)
	}
	if v := p.pictures[realSet]; v != nil {
		out.sizes[v.size]++
		out.halves[half].Add(&v.histogram)
	}
	for c, candidate := range candidates {
		a, b := p.pictures[realSet], p.pictures[candidate.source]
		if a == nil || b == nil {
			continue
		}
		if v := p.pairs[c]; v != nil {
			out.pairs[c].ssim[i], out.pairs[c].psnr[i], out.pairs[c].dice[i] = v[0], v[1], v[2]
		}
		if v, err := stain.JSD(&a.histogram, &b.histogram); err == nil {
			out.pairs[c].jsd[i] = v
		}
		if v, err := stain.KL(&a.histogram, &b.histogram); err == nil {
			out.pairs[c].kl[i] = v
		}
	}
	for _, o := range p.origin {
		if perFile[o.Key] {
			continue
		}
		if s := (Statement{Key: o.Key, Value: o.Value}); out.origins[s] > 0 || len(out.origins) < maxStatements {
			out.origins[s]++
		}
	}
	if p.realSays {
		out.reals++
	}
}

// perFile are statements that differ from file to file.
var perFile = map[string]bool{infer.KeySource: true, origin.KeySources: true}

// maxStatements bounds how many different statements are kept.
const maxStatements = 64

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

// pair measures what the cache doesn't know. An error is one of the cache alone; those of files are told as problems.
func (m *measurer) pair(row *Row) (*pairResult, error) {
	out := &pairResult{}
	var pictures [sources]*picture
	for s := range sources {
		path := s.path(row.Match)
		if path == "" {
			continue
		}
		p, err := open(path, m.settings.read())
		if err != nil {
			m.problem(path, err)
			continue
		}
		pictures[s] = p
		*s.hash(row) = p.hash
		if out.pictures[s], err = m.picture(p); errors.Is(err, errCache) {
			return nil, err
		} else if err != nil {
			m.problem(path, err)
		}
	}
	if p := pictures[realSet]; p != nil && out.pictures[realSet] != nil {
		out.realSays = imagefile.KindOf(p.path) != imagefile.NotOurs
	}
	if p := pictures[virtualSet]; p != nil && out.pictures[virtualSet] != nil {
		out.origin, _ = imagefile.ReadProvenance(p.path) // a picture without a statement is no problem
	}
	for c, candidate := range candidates {
		a, b := pictures[realSet], pictures[candidate.source]
		if a == nil || b == nil || out.pictures[realSet] == nil || out.pictures[candidate.source] == nil {
			continue
		}
		values, err := m.compare(fmt.Sprintf("%s, %s", row.Name, candidate.source), a, b)
		switch {
		case errors.Is(err, errCache):
			return nil, err
		case err != nil:
			m.problem(fmt.Sprintf("%s, %s (SSIM, PSNR and Dice)", row.Name, candidate.source), err)
		}
		out.pairs[c] = values
	}
	return out, nil
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

// compare measures a pair's likeness: SSIM, PSNR, Dice of the nuclei. One that can't be computed is NaN and a problem; the others are there.
func (m *measurer) compare(where string, a, b *picture) ([]float64, error) {
	k := m.key(map[string]string{"real": a.hash, "other": b.hash})
	record, ok, err := m.cache.numbers(k)
	if err != nil {
		return nil, err
	}
	if ok && len(record) == 3 {
		return record, nil
	}
	x, err := a.decode()
	if err != nil {
		return nil, err
	}
	y, err := b.decode()
	if err != nil {
		return nil, err
	}
	if x.Width != y.Width || x.Height != y.Height {
		return nil, fmt.Errorf("%s has %d×%d pixels, %s has %d×%d: want one size", a.path, x.Width, x.Height, b.path, y.Width, y.Height)
	}
	record = unknowns(3)
	whole := true
	for i, likeness := range []struct {
		name string
		of   func() (float64, error)
	}{
		{"SSIM", func() (float64, error) { return metrics.SSIM(y, x) }}, // as the official script: generated, real
		{"PSNR", func() (float64, error) { return metrics.PSNR(y, x) }},
		{"Dice", func() (float64, error) { return m.dice(a, b) }},
	} {
		v, err := likeness.of()
		if err != nil {
			whole = false
			m.problem(fmt.Sprintf("%s (%s)", where, likeness.name), err)
			continue
		}
		record[i] = v
	}
	if !whole {
		return record, nil // not cached: the next run is to report it too
	}
	if err := m.cache.putNumbers(k, record); err != nil {
		return nil, err
	}
	return record, nil
}

// dice is the overlap of the nuclei of two pictures.
func (m *measurer) dice(a, b *picture) (float64, error) {
	p, err := m.detect(a)
	if err != nil {
		return 0, err
	}
	q, err := m.detect(b)
	if err != nil {
		return 0, err
	}
	return nuclei.Dice(p, q)
}
