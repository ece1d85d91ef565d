package evaluate

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/experiments/metrics/stats"
)

// Comparison is a paired test of these results against others on the same real images.
type Comparison struct {
	Against   string `json:"against"`
	Pairs     int    `json:"pairs"` // that both have
	OnlyHere  int    `json:"only_here"`
	OnlyThere int    `json:"only_there"`
	// Smallest is the smallest P that so few independent signs can give; nil if below 0.001.
	Smallest *Number    `json:"smallest_p,omitempty"`
	Tests    []PairTest `json:"tests"`
}

// PairTest is the test of one measure.
type PairTest struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Better Better `json:"better"`
	N      int    `json:"n"`
	This   Number `json:"this"` // means over the common pairs
	Other  Number `json:"other"`
	// Difference is the mean of this − other.
	Difference Number    `json:"difference"`
	Interval   *Interval `json:"interval,omitempty"`
	Effect     Number    `json:"effect"` // Cohen's d of paired values
	P          Number    `json:"p"`
	Holm       Number    `json:"p_holm"` // corrected for all tests of the comparison
	Exact      bool      `json:"exact"`
	LeftOut    int       `json:"left_out,omitempty"` // pairs without a finite difference, as of infinite PSNRs
}

// compared lists the tested columns: measures of pairs, and errors of measures of images.
func compared(t *Table) []PairTest {
	var tests []PairTest
	add := func(id, name string, better Better) {
		tests = append(tests, PairTest{ID: id, Name: name, Better: better})
	}
	pairs := func(pixels bool) {
		for _, m := range pairMeasures {
			if (m.group == groupPixels) == pixels {
				add(m.id, strings.TrimSuffix(m.name, fromReal), m.better)
			}
		}
	}
	pairs(true)
	for _, c := range t.Columns {
		if layer, ok := strings.CutPrefix(c.ID, "phv_layer"); ok {
			add(c.ID, "PHV (paper), layer "+layer, Lower)
		}
		if network, ok := strings.CutPrefix(c.ID, "rank_"); ok {
			add(c.ID, "rank of the own partner, "+networkTitle(features.Kind(network)), Lower)
		}
	}
	pairs(false)
	for _, m := range slices.Concat(imageMeasures[:], membraneMeasures[:]) {
		if m.has(absolute) && t.Values("real_"+m.id) != nil {
			add("error_"+m.id, m.name+": absolute difference from real", Lower)
		}
	}
	return tests
}

// tested returns the values of a test's column.
func (t *Table) tested(id string) []float64 {
	if measure, ok := strings.CutPrefix(id, "error_"); ok {
		return magnitude(difference(t.Values("real_"+measure), t.Values("virtual_"+measure)))
	}
	return t.Values(id)
}

// Compare tests the measures of two tables, pair by pair, except incomparable ones. Pairs of this table with equal
// labels are resampled together; by names the labels. Both tables must have the same real images.
func Compare(
	this, other *Table, labels []string, by string, s Settings, incomparable func(id string) bool,
) (*Comparison, error) {
	c := &Comparison{}
	place := map[string]int{}
	for i, p := range other.Rows {
		place[p.Name] = i
	}
	var here, there []int
	for i, p := range this.Rows {
		j, ok := place[p.Name]
		if !ok {
			c.OnlyHere++
			continue
		}
		if p.RealHash != other.Rows[j].RealHash {
			return nil, fmt.Errorf("the real images of %s differ: only results on the same images can be compared", p.Name)
		}
		here, there = append(here, i), append(there, j)
	}
	c.Pairs, c.OnlyThere = len(here), len(other.Rows)-len(here)
	if len(here) == 0 {
		return nil, fmt.Errorf("no pair has a name that is there too")
	}
	common := map[string]bool{}
	for _, i := range here {
		common[labels[i]] = true
	}
	if least := math.Pow(2, 1-float64(len(common))); least >= 0.001 {
		c.Smallest = number(least)
	}
	bootstrap := stats.Bootstrap{Resamples: s.Resamples, Level: s.Level, Seed: uint64(s.Seed)}
	var p []float64
	for _, test := range compared(this) {
		a, b := this.tested(test.ID), other.tested(test.ID)
		if a == nil || b == nil || incomparable(test.ID) {
			continue
		}
		var x, y, d []float64
		var units []string
		for k := range here {
			u, v := a[here[k]], b[there[k]]
			if math.IsNaN(u-v) || math.IsInf(u-v, 0) {
				test.LeftOut++
				continue
			}
			x, y, d = append(x, u), append(y, v), append(d, u-v)
			units = append(units, labels[here[k]])
		}
		groups := stats.By(units)
		result := stats.SignFlip(d, groups, s.Flips, uint64(s.Seed))
		test.N, test.This, test.Other = len(d), Number(stats.Mean(x)), Number(stats.Mean(y))
		test.Difference, test.Effect = Number(result.Mean), Number(result.Effect)
		test.P, test.Exact = Number(result.P), result.Exact
		if i := bootstrap.Mean(d, groups); i.Known() {
			test.Interval = &Interval{Number(i.Low), Number(i.High), "bootstrap by " + by}
		}
		c.Tests = append(c.Tests, test)
		p = append(p, result.P)
	}
	for i, v := range stats.Holm(p) {
		c.Tests[i].Holm = Number(v)
	}
	return c, nil
}

// compare adds the comparison with another folder of results.
func (e *evaluation) compare() error {
	if e.o.Against == "" {
		return nil
	}
	table, err := readTable(filepath.Join(e.o.Against, TableFile))
	if err != nil {
		return fmt.Errorf("--against: %w", err)
	}
	other, err := readResults(filepath.Join(e.o.Against, ResultsFile))
	if err != nil {
		return fmt.Errorf("--against: %w", err)
	}
	c, err := Compare(e.table, table, e.labels, e.results.Units.By, e.o.Settings, e.incomparable(other))
	if err != nil {
		e.problem("comparison with "+e.o.Against, err)
		return nil
	}
	c.Against = e.o.Against
	e.results.Comparison = c
	return nil
}

// incomparable returns which measures can't be compared with the other results, and warns of each reason.
func (e *evaluation) incomparable(other *Results) func(id string) bool {
	a, b := e.o.Settings, other.Settings
	stains := a.PositiveDAB != b.PositiveDAB || a.MPP != b.MPP || a.NucleiSignal != b.NucleiSignal ||
		e.results.Stains.Haematoxylin != other.Stains.Haematoxylin || e.results.Stains.DAB != other.Stains.DAB
	if stains {
		e.warn("stains and nuclei are not compared with %s: its vectors, thresholds or micrometres per pixel differ",
			e.o.Against)
	}
	gallery := e.hash(realSet) != other.Folders.RealHash
	if gallery {
		e.warn("ranks are not compared with %s: its real images differ", e.o.Against)
	}
	weights := map[string]string{}
	for _, n := range other.Networks {
		weights[n.Name] = n.Fingerprint
	}
	differs := map[string]bool{}
	for _, n := range e.results.Networks {
		if w, ok := weights[n.Name]; ok && w != n.Fingerprint {
			differs[n.Name] = true
			e.warn("features of %s are not compared with %s: weights, device or version differ", n.Name, e.o.Against)
		}
	}
	profiles := a.ICC != b.ICC
	if profiles {
		e.warn("nothing is compared with %s: it treated colour profiles differently (icc: %s)", e.o.Against, b.ICC)
	}
	return func(id string) bool {
		if profiles {
			return true
		}
		network, rank := strings.CutPrefix(id, "rank_")
		switch {
		case rank:
			return gallery || differs[network]
		case strings.HasPrefix(id, "phv_"):
			return differs[string(features.ResNet50)] || a.PHVThreshold != b.PHVThreshold
		}
		return stains && !slices.ContainsFunc(pairMeasures[:],
			func(m pairMeasure) bool { return m.id == id && m.group == groupPixels })
	}
}
