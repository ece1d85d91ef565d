package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/parallel"
	"github.com/histdist/histdist/internal/stain"
)

// measuresVersion is part of the keys of measures. It changes when a measure changes, so that cached values are not
// reused.
const measuresVersion = "2"

// measuresVersion is that of the measures that the settings ask for.
func (s Settings) measuresVersion() string {
	if len(s.imageMeasures()) > len(imageMeasures) {
		return measuresVersion + ", membranes"
	}
	return measuresVersion
}

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
func (s source) path(p Match) string { return [...]string{p.Real, p.Virtual, p.HE}[s] }

// hash of a row's file.
func (s source) hash(r *Row) *string { return [...]*string{&r.RealHash, &r.VirtualHash, &r.HEHash}[s] }

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
	cache     records
	rows      []Row
	progress  func(done int) error
	problem   func(where string, err error)
}

// measured are the measures of all pairs.
type measured struct {
	images   [sources][][]float64         // measure → pair
	pairs    [len(candidates)][][]float64 // measure → pair
	pooled   [sources]stain.Histogram     // all images of a set
	halves   [2]stain.Histogram           // of the real ones, for the ceiling
	readable [sources][]bool              // could be read and measured
	sizes    map[[2]int]int               // of real images
	origins  map[Statement]int            // of virtual images; Files is 0
	reals    int                          // real images that say they are virtual
}

// unknowns are n values that are not known yet.
func unknowns(n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = math.NaN()
	}
	return values
}

// newMeasured adds the columns to a table.
func newMeasured(t *Table, he bool, measures []imageMeasure) *measured {
	m := &measured{sizes: map[[2]int]int{}, origins: map[Statement]int{}}
	for c, candidate := range candidates {
		for _, measure := range pairMeasures {
			if he || candidate.source != heSet {
				m.pairs[c] = append(m.pairs[c], t.add(candidate.prefix+measure.id))
			}
		}
	}
	for s := range sources {
		m.readable[s] = make([]bool, len(t.Rows))
		for _, measure := range measures {
			if he || s != heSet {
				m.images[s] = append(m.images[s], t.add(s.String()+"_"+measure.id))
			}
		}
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
func (m *measurer) run(ctx context.Context, out *measured, workers int, half []int) error {
	var mu sync.Mutex
	done := 0
	return parallel.Each(ctx, len(m.rows), workers, func(i int) error {
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
}

// pairResult are one pair's measures; unreadable files have none.
type pairResult struct {
	images   [sources]*imageValues
	pairs    [len(candidates)][]float64 // by pairMeasures
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
	for c, values := range p.pairs {
		for k, value := range values {
			out.pairs[c][k][i] = value
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
		p, err := m.open(path)
		if err != nil {
			m.problem(path, err)
			continue
		}
		images[s] = p
		*s.hash(row) = p.hash
		if p.values, err = m.image(p); errors.Is(err, errCache) {
			return nil, err
		} else if err != nil {
			m.problem(path, err)
		}
		out.images[s] = p.values
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
		var err error
		if out.pairs[c], err = m.compare(fmt.Sprintf("%s, %s", row.Name, candidate.source), a, b); err != nil {
			return nil, err
		}
	}
	return out, nil
}
