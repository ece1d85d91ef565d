package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/experiments/metrics/stain"
	"github.com/histdist/histdist/experiments/metrics/stain/nuclei"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/parallel"
)

// measuresVersion is part of the keys of measures. It changes when a measure changes, so that cached values are not
// reused.
const measuresVersion = "1"

// source is a set of images.
type source int

const (
	realSet source = iota
	virtualSet
	heSet
	sources
)

// String names a source in columns.
func (s source) String() string { return [...]string{"real", "virtual", "he"}[s] }

// path of a pair's image; "" if it has none.
func (s source) path(p Match) string { return [...]string{p.Real, p.Fake, p.HE}[s] }

// hash of a row's file.
func (s source) hash(r *Row) *string { return [...]*string{&r.RealHash, &r.FakeHash, &r.HEHash}[s] }

// candidates are compared with the real images: the virtual ones, and the H&E as the floor.
var candidates = [...]struct {
	source
	prefix string // of columns
}{{virtualSet, ""}, {heSet, "floor_"}}

// measurer measures images.
type measurer struct {
	settings  Settings
	separator *stain.Separator
	hed       *stain.Separator
	origin    origin.Origin // of measures, without the files
	cache     *cache
	rows      []Row
	progress  func(done int) error
	problem   func(where string, err error)
}

// measured are the measures of all pairs.
type measured struct {
	images   [sources][][]float64      // measure → pair
	pairs    [len(candidates)]pairwise // by candidate
	pooled   [sources]stain.Histogram  // all images of a set
	halves   [2]stain.Histogram        // of the real ones, for the ceiling
	readable [sources][]bool           // could be read and measured
	sizes    map[[2]int]int            // of real images
	origins  map[Statement]int         // of virtual images; Files is 0
	reals    int                       // real images that say they are virtual
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
		for range imageMeasures {
			m.images[s] = append(m.images[s], unknowns(n))
		}
	}
	for c := range m.pairs {
		m.pairs[c] = pairwise{unknowns(n), unknowns(n), unknowns(n), unknowns(n), unknowns(n)}
	}
	return m
}

// key is the key of the measures of files with these hashes.
func (m *measurer) key(files map[string]string) key {
	o := m.origin
	o.Sources = files
	return o.Key()
}

// run measures all pairs concurrently. half is the half of the ceiling that each pair's real image is in.
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

// pairResult are one pair's measures; unreadable files have none.
type pairResult struct {
	images   [sources]*imageValues
	pairs    [len(candidates)][]float64 // ssim, psnr, dice
	origin   []imagefile.Pair
	realSays bool
}

func (p *pairResult) into(out *measured, i, half int) {
	for s, v := range p.images {
		if v == nil {
			continue
		}
		out.readable[s][i] = true
		for k, value := range v.values {
			out.images[s][k][i] = value
		}
		out.pooled[s].Add(&v.histogram)
	}
	if v := p.images[realSet]; v != nil {
		out.sizes[v.size]++
		out.halves[half].Add(&v.histogram)
	}
	for c, candidate := range candidates {
		a, b := p.images[realSet], p.images[candidate.source]
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

// perFile are the statements that differ between files.
var perFile = map[string]bool{infer.KeySource: true, origin.KeySources: true}

// maxStatements is the largest number of different statements kept.
const maxStatements = 64

// pair measures what the cache lacks. Its error is the cache's; errors of files are problems.
func (m *measurer) pair(row *Row) (*pairResult, error) {
	out := &pairResult{}
	var images [sources]*imageFile
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
		images[s] = p
		*s.hash(row) = p.hash
		if out.images[s], err = m.image(p); errors.Is(err, errCache) {
			return nil, err
		} else if err != nil {
			m.problem(path, err)
		}
	}
	if p := images[realSet]; p != nil && out.images[realSet] != nil {
		out.realSays = imagefile.KindOf(p.path) != imagefile.NotOurs
	}
	if p := images[virtualSet]; p != nil && out.images[virtualSet] != nil {
		out.origin, _ = imagefile.ReadProvenance(p.path) // an image may have none
	}
	for c, candidate := range candidates {
		a, b := images[realSet], images[candidate.source]
		if a == nil || b == nil || out.images[realSet] == nil || out.images[candidate.source] == nil {
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

// compare measures a pair: SSIM, PSNR, Dice of the nuclei. One that can't be computed is NaN and a problem.
func (m *measurer) compare(where string, a, b *imageFile) ([]float64, error) {
	k := m.key(map[string]string{"real": a.hash, "other": b.hash})
	record, ok, err := read[float64](m.cache, k)
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
		return nil, fmt.Errorf("%s has %d×%d pixels, %s has %d×%d: want one size",
			a.path, x.Width, x.Height, b.path, y.Width, y.Height)
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
	if err := write(m.cache, k, record); err != nil {
		return nil, err
	}
	return record, nil
}

// dice is the overlap of the nuclei of two images.
func (m *measurer) dice(a, b *imageFile) (float64, error) {
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
