package evaluate

import (
	"fmt"
	"math"
	"slices"

	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/experiments/metrics/stain"
	"github.com/histdist/histdist/experiments/metrics/stats"
	"github.com/histdist/histdist/graph/rng"
)

// summary makes Metrics of what was measured.
type summary struct {
	settings Settings
	table    *Table
	measured *measured
	half     []int    // of each pair's real picture: 0 or 1
	labels   []string // what is drawn together: a patient or a pair
	by       string   // patient or image
	metrics  []Metric
	skipped  []NotComputed
	problem  func(where string, err error)
}

// fullKIDLimit is how many pictures all features of are held and compared for KID over all pictures: 65 MB.
const fullKIDLimit = 4000

func (s *summary) bootstrap() stats.Bootstrap {
	return stats.Bootstrap{Resamples: s.settings.Resamples, Level: s.settings.Level, Seed: uint64(s.settings.Seed)}
}

// groups are those of some rows, by their places among these.
func (s *summary) groups(rows []int) stats.Groups {
	labels := make([]string, len(rows))
	for i, row := range rows {
		labels[i] = s.labels[row]
	}
	return stats.By(labels)
}

// interval gives a bootstrap's result its name; nil if there is none.
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

// mean is that of a column's known values.
func (s *summary) mean(values []float64) estimate {
	if values == nil {
		return estimate{value: math.NaN()}
	}
	rows := known(values)
	v := pick(values, rows)
	return estimate{stats.Mean(v), s.interval(s.bootstrap().Mean(v, s.groups(rows))), len(rows)}
}

// proportion is the mean of a column of 0 and 1. Where all are equal the bootstrap has no width, and the interval is Wilson's.
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
	i := s.bootstrap().Of(s.groups(rows), func(indices []int) float64 { return statistic(pick(a, indices), pick(b, indices)) })
	return estimate{statistic(a, b), s.interval(i), len(rows)}
}

func difference(x, y []float64) []float64 {
	if x == nil || y == nil {
		return nil
	}
	d := make([]float64, len(x))
	for i := range d {
		d[i] = y[i] - x[i]
	}
	return d
}

func absolute(values []float64) []float64 {
	if values == nil {
		return nil
	}
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Abs(v)
	}
	return out
}

// sumRatio is the sum of y by that of x.
func sumRatio(x, y []float64) float64 {
	a, b := 0.0, 0.0
	for i := range x {
		a += x[i]
		b += y[i]
	}
	if a == 0 {
		return math.NaN()
	}
	return b / a
}

// add appends a line with its value and floor. One without a value says why.
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
	groupDistribution = "Likeness of distributions"
	groupPerceptual   = "Perceptual hash"
	groupRetrieval    = "Molecular retrieval"
	groupStain        = "Stain"
	groupNuclei       = "Nuclei"
)

// pairwise adds the means of measures of pairs.
func (s *summary) pairwise() {
	for _, m := range []struct {
		metric Metric
		column string
	}{
		{Metric{ID: "ssim", Group: groupPixels, Name: "SSIM", Better: Higher, Decimals: 4}, "ssim"},
		{Metric{ID: "psnr", Group: groupPixels, Name: "PSNR", Unit: "dB", Better: Higher, Decimals: 3}, "psnr"},
	} {
		added := s.add(m.metric, s.mean(s.table.Values(m.column)), s.mean(s.table.Values("floor_"+m.column)), "no pair could be compared")
		if math.IsInf(float64(added.Value), 1) {
			equal := 0
			for _, v := range s.table.Values(m.column) {
				if math.IsInf(v, 1) {
					equal++
				}
			}
			added.Note = fmt.Sprintf("infinite where both pictures are equal: %d of %d pairs", equal, added.N)
		}
	}
}

// fid adds FID over the pairs whose features there are.
func (s *summary) fid(x *extraction, rows [len(candidates)][]int) {
	m := Metric{ID: "fid", Group: groupDistribution, Name: "FID", Better: Lower, Decimals: 3}
	distance := func(a, b []string) (estimate, []string) {
		d, err := frechet(x, a, b)
		if err != nil {
			s.problem("FID", err)
			m.Undefined = err.Error()
			return estimate{value: math.NaN()}, nil
		}
		return estimate{value: d.Distance, n: min(len(a), len(b))}, d.Notes
	}
	value, notes := distance(s.hashes(realSet, rows[0]), s.hashes(virtualSet, rows[0]))
	floor := estimate{value: math.NaN()}
	if len(rows[1]) > 1 {
		floor, _ = distance(s.hashes(realSet, rows[1]), s.hashes(heSet, rows[1]))
	}
	for _, note := range slices.Compact(notes) {
		m.Note = join(m.Note, note)
	}
	added := s.add(m, value, floor, m.Undefined)
	if a, b := s.halves(rows[0]); len(a) > 1 && len(b) > 1 {
		if d, err := frechet(x, s.hashes(realSet, a), s.hashes(realSet, b)); err == nil {
			added.Ceiling = &Reference{Value: Number(d.Distance), N: len(b), Note: halvesNote}
		}
		// FID falls with the number of pictures, so that the ceiling is to be compared with a FID of as many.
		if d, err := frechet(x, s.hashes(realSet, a), s.hashes(virtualSet, b)); err == nil {
			added.Note = join(added.Note, fmt.Sprintf("at the ceiling's size, %d real and %d virtual pictures, it is %s", len(a), len(b), Number(d.Distance).Text(m.Decimals)))
		}
	}
}

const halvesNote = "one half of the real pictures against the other"

// halves divides rows by the half that their real pictures are in.
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

// hashes are those of a set's files in some rows.
func (s *summary) hashes(from source, rows []int) []string {
	list := make([]string, len(rows))
	for i, row := range rows {
		list[i] = *from.hash(&s.table.Pairs[row])
	}
	return list
}

// frechet reads features one by one.
func frechet(x *extraction, a, b []string) (metrics.FrechetDistance, error) {
	var sets [2]*metrics.Statistics
	for i, hashes := range [2][]string{a, b} {
		if len(hashes) < 2 {
			return metrics.FrechetDistance{}, fmt.Errorf("FID compares covariances and needs two pictures or more in each set; there are %d and %d", len(a), len(b))
		}
		for _, h := range hashes {
			row, err := x.row(h)
			if err != nil {
				return metrics.FrechetDistance{}, err
			}
			if sets[i] == nil {
				sets[i] = metrics.NewStatistics(len(row))
			}
			if err := sets[i].Add(row); err != nil {
				return metrics.FrechetDistance{}, err
			}
		}
	}
	return metrics.Frechet(sets[0], sets[1])
}

// kid adds KID: by subsets, as the paper's script, and over all pictures.
func (s *summary) kid(x *extraction, rows [len(candidates)][]int) {
	subsets := Metric{ID: "kid", Group: groupDistribution, Name: "KID", Unit: "×10³", Better: Lower, Decimals: 3}
	full := Metric{ID: "kid_full", Group: groupDistribution, Name: "KID (all pictures)", Unit: "×10³", Better: Lower, Decimals: 3}
	n := len(rows[0])
	if n < 3 {
		err := fmt.Errorf("KID's estimators need three pictures or more in each set; there are %d", n)
		s.problem("KID", err)
		subsets.Undefined, full.Undefined = err.Error(), err.Error()
		s.add(subsets, estimate{value: math.NaN()}, estimate{value: math.NaN()}, err.Error())
		s.add(full, estimate{value: math.NaN()}, estimate{value: math.NaN()}, err.Error())
		return
	}
	sets := [][2][]string{{s.hashes(realSet, rows[0]), s.hashes(virtualSet, rows[0])}, {s.hashes(realSet, rows[1]), s.hashes(heSet, rows[1])}}
	a, b := s.halves(rows[0])
	k := min(len(a), len(b))
	sets = append(sets, [2][]string{s.hashes(realSet, a[:k]), s.hashes(realSet, b[:k])})

	var by [3]*metrics.KID // virtual, floor, ceiling
	var all [3]*float64
	for i, set := range sets {
		if len(set[0]) < 3 {
			continue
		}
		d, err := s.kidSubsets(x, set[0], set[1])
		if err != nil {
			s.problem("KID", err)
			subsets.Undefined = err.Error()
			continue
		}
		by[i] = &d
		if len(set[0]) > fullKIDLimit {
			continue
		}
		mmd, err := kidFull(x, set[0], set[1])
		if err != nil {
			s.problem("KID (all pictures)", err)
			full.Undefined = err.Error()
			continue
		}
		all[i] = &mmd
	}
	reference := func(i int, note string) *Reference {
		if by[i] == nil {
			return nil
		}
		return &Reference{Value: Number(1000 * by[i].Mean), Std: number(1000 * by[i].Std), N: len(sets[i][0]), Note: note}
	}
	added := s.add(subsets, estimate{value: math.NaN(), n: n}, estimate{value: math.NaN()}, subsets.Undefined)
	if by[0] != nil {
		added.Value, added.Std = Number(1000*by[0].Mean), number(1000*by[0].Std)
		added.Note = fmt.Sprintf("mean ± standard deviation of %d subsets of %d pictures", s.settings.KIDSubsets, min(s.settings.KIDSubsetSize, n))
		if s.settings.KIDSubsetSize >= n {
			added.Note += "; each is the whole set, so that the deviation says nothing"
		}
	}
	added.Floor, added.Ceiling = reference(1, ""), reference(2, halvesNote)

	if n > fullKIDLimit {
		s.skipped = append(s.skipped, NotComputed{full.Name, fmt.Sprintf("%d pictures are more than the %d that all are compared with all of", n, fullKIDLimit)})
		return
	}
	single := func(i int) estimate {
		if all[i] == nil {
			return estimate{value: math.NaN()}
		}
		return estimate{value: 1000 * *all[i], n: len(sets[i][0])}
	}
	added = s.add(full, single(0), single(1), full.Undefined)
	added.Ceiling = single(2).reference(halvesNote)
}

// kidSubsets is metrics.KernelInceptionDistance, with features read when a subset needs them.
func (s *summary) kidSubsets(x *extraction, a, b []string) (metrics.KID, error) {
	var d metrics.KID
	size := min(s.settings.KIDSubsetSize, len(a), len(b))
	draw := rng.NewNumPy(s.settings.Seed)
	for range s.settings.KIDSubsets {
		var sets [2][][]float32
		for i, hashes := range [2][]string{a, b} {
			chosen := make([]string, size)
			for k, at := range draw.Choice(len(hashes), size) {
				chosen[k] = hashes[at]
			}
			var err error
			if sets[i], err = x.rows(chosen); err != nil {
				return d, err
			}
		}
		mmd, err := metrics.KernelDistance(sets[0], sets[1], min(len(a), len(b)))
		if err != nil {
			return d, err
		}
		d.Subsets = append(d.Subsets, mmd)
	}
	for _, mmd := range d.Subsets {
		d.Mean += mmd.Squared / float64(len(d.Subsets))
	}
	for _, mmd := range d.Subsets {
		d.Std += (mmd.Squared - d.Mean) * (mmd.Squared - d.Mean) / float64(len(d.Subsets))
	}
	d.Std = math.Sqrt(d.Std)
	return d, nil
}

func kidFull(x *extraction, a, b []string) (float64, error) {
	p, err := x.rows(a)
	if err != nil {
		return 0, err
	}
	q, err := x.rows(b)
	if err != nil {
		return 0, err
	}
	mmd, err := metrics.KernelDistance(p, q, 0)
	return mmd.Squared, err
}

// phv adds the perceptual hash values, layer by layer, and their columns.
func (s *summary) phv(x *extraction, rows [len(candidates)][]int) {
	layers := x.layers
	var columns [len(candidates)][][]float64
	for c, candidate := range candidates {
		if len(rows[c]) == 0 {
			continue
		}
		for layer := range layers {
			columns[c] = append(columns[c], s.table.add(fmt.Sprintf("%sphv_layer%d", candidate.prefix, layer+1)))
		}
		for _, row := range rows[c] {
			p := &s.table.Pairs[row]
			pair, err := x.rows([]string{p.RealHash, *candidate.hash(p)})
			if err == nil {
				var values []float64
				if values, err = metrics.PerceptualHashValue(pair[0], pair[1], layers, float32(s.settings.PHVThreshold)); err == nil {
					for layer, v := range values {
						columns[c][layer][row] = v
					}
				}
			}
			if err != nil {
				s.problem(p.Name+" (PHV)", err)
			}
		}
	}
	for layer := range layers {
		column := func(c int) []float64 {
			if columns[c] == nil {
				return nil
			}
			return columns[c][layer]
		}
		s.add(Metric{ID: fmt.Sprintf("phv_layer%d", layer+1), Group: groupPerceptual, Name: fmt.Sprintf("PHV (paper), layer %d", layer+1), Better: Lower, Decimals: 4},
			s.mean(column(0)), s.mean(column(1)), "no pair could be compared")
	}
}

// retrieval adds the parts of the pictures that find their own partner, and a column of ranks.
func (s *summary) retrieval(x *extraction, name string, rows [len(candidates)][]int) {
	var ranks [len(candidates)][]float64
	for c, candidate := range candidates {
		if len(rows[c]) == 0 {
			continue
		}
		generated, err := x.rows(s.hashes(candidate.source, rows[c]))
		var truth [][]float32
		if err == nil {
			truth, err = x.rows(s.hashes(realSet, rows[c]))
		}
		var r metrics.Retrieval
		if err == nil {
			r, err = metrics.Retrieve(generated, truth)
		}
		if err != nil {
			s.problem(name, err)
			continue
		}
		ranks[c] = s.table.add(candidate.prefix + "rank_" + string(x.kind))
		for i, row := range rows[c] {
			ranks[c][row] = float64(r.Ranks[i])
		}
	}
	for _, k := range []int{1, 3} {
		hits := func(ranks []float64) estimate {
			if ranks == nil {
				return estimate{value: math.NaN()}
			}
			values := make([]float64, len(ranks))
			for i, rank := range ranks {
				switch {
				case math.IsNaN(rank):
					values[i] = rank
				case int(rank) < k:
					values[i] = 1
				}
			}
			return s.proportion(values)
		}
		m := Metric{ID: fmt.Sprintf("retrieval_%s_top%d", x.kind, k), Group: groupRetrieval, Name: fmt.Sprintf("%s top-%d (%s)", name, k, networkTitle(x.kind)), Better: Higher, Decimals: 3}
		added := s.add(m, hits(ranks[0]), hits(ranks[1]), "no pair could be compared")
		n := len(rows[0])
		chance := stats.Chance(metrics.ChanceLevel(n, k), n, s.settings.Level)
		added.Chance = &Reference{
			Value: Number(metrics.ChanceLevel(n, k)), N: n,
			Interval: &Interval{Number(chance.Low), Number(chance.High), "binomial"},
		}
	}
}

func networkTitle(k features.Kind) string {
	switch k {
	case features.GigaPath:
		return "GigaPath"
	case features.Phikon:
		return "Phikon"
	}
	return string(k)
}

// stains adds what stains are compared by.
func (s *summary) stains() {
	s.pictures(groupStain)
	s.histograms()
	s.pictures(groupNuclei)
	s.add(Metric{ID: "nuclei_dice", Group: groupNuclei, Name: "Dice of the nuclear masks", Better: Higher, Decimals: 3},
		s.mean(s.table.Values("nuclei_dice")), s.mean(s.table.Values("floor_nuclei_dice")), "no pair could be compared")
}

// column is that of a measure of pictures.
func (s *summary) column(from source, id string) []float64 {
	return s.table.Values(from.String() + "_" + id)
}

// pictures adds the comparisons of the measures of a group.
func (s *summary) pictures(group string) {
	for _, m := range pictureMeasures {
		if m.group != group {
			continue
		}
		x, y, z := s.column(realSet, m.id), s.column(virtualSet, m.id), s.column(heSet, m.id)
		base := Metric{Group: group, Unit: m.unit, Decimals: m.decimals}
		if rows := known(x, y); len(rows) > 0 {
			base.Real, base.Virtual = number(stats.Mean(pick(x, rows))), number(stats.Mean(pick(y, rows)))
			base.MeanUnit, base.MeanDecimals = m.unit, m.decimals
		}
		if m.pearson {
			line := base
			line.ID, line.Name, line.Unit, line.Better, line.Decimals = m.id+"_pearson", m.name+": Pearson's r", "", Higher, 3
			s.add(line, s.of(x, y, stats.Pearson), s.of(x, z, stats.Pearson), "one side does not vary, or there are fewer than two pairs")
		}
		if m.bias {
			line := base
			line.ID, line.Name, line.Better = m.id+"_bias", m.name+": mean difference", Zero
			added := s.add(line, s.mean(difference(x, y)), s.mean(difference(x, z)), "no pair could be compared")
			if a, b := s.halves(known(x)); len(a) > 0 && len(b) > 0 {
				added.Ceiling = &Reference{Value: Number(stats.Mean(pick(x, b)) - stats.Mean(pick(x, a))), N: len(b), Note: halvesNote}
			}
		}
		if m.absolute {
			line := base
			line.ID, line.Name, line.Better = m.id+"_mae", m.name+": mean absolute difference", Lower
			s.add(line, s.mean(absolute(difference(x, y))), s.mean(absolute(difference(x, z))), "no pair could be compared")
		}
		if m.ratio {
			line := base
			line.ID, line.Name, line.Unit, line.Better, line.Decimals = m.id+"_ratio", m.name+": virtual / real", "", One, 3
			s.add(line, s.of(x, y, sumRatio), s.of(x, z, sumRatio), "the real pictures have none")
		}
	}
}

// histograms adds how DAB is distributed over pixels.
func (s *summary) histograms() {
	nan := estimate{value: math.NaN()}
	for _, m := range []struct{ id, name string }{{"dab_jsd", "DAB histograms: Jensen–Shannon divergence"}, {"dab_kl", "DAB histograms: Kullback–Leibler divergence of virtual from real"}} {
		s.add(Metric{ID: m.id, Group: groupStain, Name: m.name, Unit: "bit", Better: Lower, Decimals: 4},
			s.mean(s.table.Values(m.id)), s.mean(s.table.Values("floor_"+m.id)), "no pair could be compared")
	}
	pooled := func(a, b *stain.Histogram) estimate {
		d, err := stain.JSD(a, b)
		if err != nil {
			return nan
		}
		return estimate{value: d}
	}
	p := &s.measured.pooled
	floor := nan
	if p[heSet].Pixels() > 0 {
		floor = pooled(&p[realSet], &p[heSet])
	}
	added := s.add(Metric{ID: "dab_jsd_pooled", Group: groupStain, Name: "DAB histogram of all pixels: Jensen–Shannon divergence", Unit: "bit", Better: Lower, Decimals: 4},
		pooled(&p[realSet], &p[virtualSet]), floor, "no picture could be measured")
	added.N = len(known(s.column(realSet, pictureMeasures[0].id)))
	h := &s.measured.halves
	added.Ceiling = pooled(&h[0], &h[1]).reference(halvesNote)
}

// skip lists metrics without the features that they are made of.
func (s *summary) skip(names []string, why string) {
	for _, name := range names {
		s.skipped = append(s.skipped, NotComputed{name, why})
	}
}
