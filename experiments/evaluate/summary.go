package evaluate

import (
	"fmt"
	"math"
	"slices"

	"github.com/histdist/histdist/experiments/metrics/stats"
)

// summary makes Metrics of what was measured.
type summary struct {
	settings Settings
	table    *Table
	measured *measured
	half     []int    // of each pair's real image: 0 or 1
	labels   []string // pairs with one label are resampled together
	by       string   // patient or image
	metrics  []Metric
	skipped  []NotComputed
	problem  func(where string, err error)
}

func (s *summary) bootstrap() stats.Bootstrap {
	return stats.Bootstrap{Resamples: s.settings.Resamples, Level: s.settings.Level, Seed: uint64(s.settings.Seed)}
}

// groups are the groups of some rows, by their places among these.
func (s *summary) groups(rows []int) stats.Groups {
	labels := make([]string, len(rows))
	for i, row := range rows {
		labels[i] = s.labels[row]
	}
	return stats.By(labels)
}

// interval names a bootstrap's result; nil if there is none.
func (s *summary) interval(i stats.Interval) *Interval {
	if !i.Known() {
		return nil
	}
	return &Interval{Number(i.Low), Number(i.High), "bootstrap by " + s.by}
}

// estimate is a value with its interval, over n rows.
type estimate struct {
	value    float64
	interval *Interval
	n        int
}

func (e estimate) reference(note string) *Reference {
	if math.IsNaN(e.value) {
		return nil
	}
	return &Reference{Value: Number(e.value), Interval: e.interval, N: e.n, Note: note}
}

// known lists the rows in which all columns have a value.
func known(columns ...[]float64) []int {
	var rows []int
	for i := range columns[0] {
		if !slices.ContainsFunc(columns, func(c []float64) bool { return math.IsNaN(c[i]) }) {
			rows = append(rows, i)
		}
	}
	return rows
}

func pick(values []float64, rows []int) []float64 {
	out := make([]float64, len(rows))
	for i, row := range rows {
		out[i] = values[row]
	}
	return out
}

// mean is the mean of a column's known values.
func (s *summary) mean(values []float64) estimate {
	if values == nil {
		return estimate{value: math.NaN()}
	}
	rows := known(values)
	v := pick(values, rows)
	return estimate{stats.Mean(v), s.interval(s.bootstrap().Mean(v, s.groups(rows))), len(rows)}
}

// proportion is the mean of a column of 0 and 1. If all are equal the bootstrap has no width, and the interval is
// Wilson's.
func (s *summary) proportion(values []float64) estimate {
	e := s.mean(values)
	if e.value == 0 || e.value == 1 {
		w := stats.Wilson(int(e.value)*e.n, e.n, s.settings.Level)
		e.interval = &Interval{Number(w.Low), Number(w.High), "Wilson by image"}
	}
	return e
}

// of is a statistic of two columns.
func (s *summary) of(x, y []float64, statistic func(x, y []float64) float64) estimate {
	if x == nil || y == nil {
		return estimate{value: math.NaN()}
	}
	rows := known(x, y)
	a, b := pick(x, rows), pick(y, rows)
	i := s.bootstrap().Of(s.groups(rows),
		func(indices []int) float64 { return statistic(pick(a, indices), pick(b, indices)) })
	return estimate{statistic(a, b), s.interval(i), len(rows)}
}

// add appends a metric with its value and floor. why is the reason if it has no value.
func (s *summary) add(m Metric, value, floor estimate, why string) *Metric {
	m.Value, m.Interval, m.N = Number(value.value), value.interval, value.n
	m.Floor, m.Definition = floor.reference(""), definition(m.ID)
	if !m.Value.Known() {
		m.Undefined = why
	}
	s.metrics = append(s.metrics, m)
	return &s.metrics[len(s.metrics)-1]
}

// The groups of metrics.
const (
	groupPixels       = "Likeness of pixels"
	groupSharpness    = "Sharpness"
	groupDistribution = "Likeness of distributions"
	groupPerceptual   = "Perceptual hash"
	groupRetrieval    = "Molecular retrieval"
	groupStain        = "Stain"
	groupNuclei       = "Nuclei"
	groupSeams        = "Seams"
)

// measures adds a group's measures of images and of pairs.
func (s *summary) measures(group string) {
	s.images(group)
	for _, m := range pairMeasures {
		if m.group != group {
			continue
		}
		values := s.table.Values(m.id)
		added := s.add(Metric{ID: m.id, Group: group, Name: m.name, Unit: m.unit, Better: m.better, Decimals: m.decimals},
			s.mean(values), s.mean(s.table.Values("floor_"+m.id)), "no pair could be compared")
		if math.IsInf(float64(added.Value), 1) {
			equal := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return !math.IsInf(v, 1) })
			added.Note = fmt.Sprintf("infinite where both images are equal: %d of %d pairs", len(equal), added.N)
		}
	}
}

// halves divides rows by the half that their real images are in.
func (s *summary) halves(rows []int) (a, b []int) {
	for _, row := range rows {
		if s.half[row] == 0 {
			a = append(a, row)
		} else {
			b = append(b, row)
		}
	}
	return a, b
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// hashes are the hashes of a set's files in some rows.
func (s *summary) hashes(from source, rows []int) []string {
	list := make([]string, len(rows))
	for i, row := range rows {
		list[i] = *from.hash(&s.table.Rows[row])
	}
	return list
}

// skip lists metrics that lack their features.
func (s *summary) skip(names []string, why string) {
	for _, name := range names {
		s.skipped = append(s.skipped, NotComputed{name, why})
	}
}
