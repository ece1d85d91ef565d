package evaluate

import (
	"fmt"
	"math"
	"slices"

	"github.com/histdist/histdist/experiments/metrics"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/experiments/metrics/stats"
	"github.com/histdist/histdist/graph/rng"
)

// fullKIDLimit is the largest number of images for KID over all images, whose features take 65 MB.
const fullKIDLimit = 4000

// fid adds FID over the pairs with features.
func (s *summary) fid(x *extraction, rows [len(candidates)][]int) {
	m := Metric{ID: "fid", Group: groupDistribution, Name: "FID", Better: Lower, Decimals: 3}
	distance := func(what string, a, b []string) (e estimate, notes []string, why string) {
		d, err := frechet(x, a, b)
		if err != nil {
			s.problem(what, err)
			return estimate{value: math.NaN()}, nil, err.Error()
		}
		return estimate{value: d.Distance, n: min(len(a), len(b))}, d.Notes, ""
	}
	value, notes, why := distance("FID", s.hashes(realSet, rows[0]), s.hashes(virtualSet, rows[0]))
	floor := estimate{value: math.NaN()}
	if len(rows[1]) > 1 {
		floor, _, _ = distance("FID, floor", s.hashes(realSet, rows[1]), s.hashes(heSet, rows[1]))
	}
	for _, note := range slices.Compact(notes) {
		m.Note = join(m.Note, note)
	}
	added := s.add(m, value, floor, why)
	if a, b := s.halves(rows[0]); len(a) > 1 && len(b) > 1 {
		if d, err := frechet(x, s.hashes(realSet, a), s.hashes(realSet, b)); err == nil {
			added.Ceiling = &Reference{Value: Number(d.Distance), N: len(b), Note: halvesNote}
		}
		// FID falls with the number of images, so that the ceiling is to be compared with a FID of as many.
		if d, err := frechet(x, s.hashes(realSet, a), s.hashes(virtualSet, b)); err == nil {
			added.Note = join(added.Note, fmt.Sprintf("at the ceiling's size, %d real and %d virtual images, it is %s",
				len(a), len(b), Number(d.Distance).Text(m.Decimals)))
		}
	}
}

const halvesNote = "one half of the real images against the other"

// frechet reads features one by one.
func frechet(x *extraction, a, b []string) (metrics.FrechetDistance, error) {
	var sets [2]*metrics.Statistics
	for i, hashes := range [2][]string{a, b} {
		if len(hashes) < 2 {
			return metrics.FrechetDistance{}, fmt.Errorf(
				"FID compares covariances and needs two images or more in each set; there are %d and %d", len(a), len(b))
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

// kid adds KID: by subsets, as the paper's script, and over all images.
func (s *summary) kid(x *extraction, rows [len(candidates)][]int) {
	subsets := Metric{ID: "kid", Group: groupDistribution, Name: "KID", Unit: "×10³", Better: Lower, Decimals: 3}
	full := Metric{
		ID: "kid_full", Group: groupDistribution, Name: "KID (all images)", Unit: "×10³", Better: Lower,
		Decimals: 3,
	}
	n := len(rows[0])
	if n < 3 {
		err := fmt.Errorf("KID's estimators need three images or more in each set; there are %d", n)
		s.problem("KID", err)
		s.add(subsets, estimate{value: math.NaN()}, estimate{value: math.NaN()}, err.Error())
		s.add(full, estimate{value: math.NaN()}, estimate{value: math.NaN()}, err.Error())
		return
	}
	sets := [][2][]string{
		{s.hashes(realSet, rows[0]), s.hashes(virtualSet, rows[0])}, {s.hashes(realSet, rows[1]), s.hashes(heSet, rows[1])},
	}
	a, b := s.halves(rows[0])
	k := min(len(a), len(b))
	sets = append(sets, [2][]string{s.hashes(realSet, a[:k]), s.hashes(realSet, b[:k])})

	of := [3]string{"", ", floor", ", ceiling"}
	var by [3]*kid
	var all [3]*float64
	var why, whyFull [3]string // there is none
	for i, set := range sets {
		if len(set[0]) < 3 {
			continue
		}
		if d, err := s.kidSubsets(x, set[0], set[1]); err == nil {
			by[i] = &d
		} else {
			s.problem(subsets.Name+of[i], err)
			why[i] = err.Error()
		}
		if len(set[0]) > fullKIDLimit {
			continue
		}
		if mmd, err := kidFull(x, set[0], set[1]); err == nil {
			all[i] = &mmd
		} else {
			s.problem(full.Name+of[i], err)
			whyFull[i] = err.Error()
		}
	}
	reference := func(i int, note string) *Reference {
		if by[i] == nil {
			return nil
		}
		return &Reference{Value: Number(1000 * by[i].mean), Std: number(1000 * by[i].std), N: len(sets[i][0]), Note: note}
	}
	added := s.add(subsets, estimate{value: math.NaN(), n: n}, estimate{value: math.NaN()}, why[0])
	if by[0] != nil {
		added.Value, added.Std = Number(1000*by[0].mean), number(1000*by[0].std)
		added.Note = fmt.Sprintf("mean ± standard deviation of %d subsets of %d images",
			s.settings.KIDSubsets, min(s.settings.KIDSubsetSize, n))
		if s.settings.KIDSubsetSize >= n {
			added.Note += "; each is the whole set, so that the deviation says nothing"
		}
	}
	added.Floor, added.Ceiling = reference(1, ""), reference(2, halvesNote)

	if n > fullKIDLimit {
		s.skip([]string{full.Name}, fmt.Sprintf("there are %d images: at most %d are compared", n, fullKIDLimit))
		return
	}
	single := func(i int) estimate {
		if all[i] == nil {
			return estimate{value: math.NaN()}
		}
		return estimate{value: 1000 * *all[i], n: len(sets[i][0])}
	}
	added = s.add(full, single(0), single(1), whyFull[0])
	added.Ceiling = single(2).reference(halvesNote)
}

// kid is the kernel inception distance by subsets.
type kid struct{ mean, std float64 }

// kidSubsets averages the kernel distances of random subsets, as polynomial_mmd_averages of kid_score.py does: for each
// subset RandomState.choice without replacement of the real images first, then of the generated ones. kid_score.py
// leaves out images beyond a multiple of 50 in each set, in the order of glob; here all take part.
func (s *summary) kidSubsets(x *extraction, a, b []string) (kid, error) {
	var d kid
	distances := make([]float64, s.settings.KIDSubsets)
	size := min(s.settings.KIDSubsetSize, len(a), len(b))
	draw := rng.NewNumPy(s.settings.Seed)
	for i := range distances {
		var sets [2][][]float32
		for side, hashes := range [2][]string{a, b} {
			chosen := make([]string, size)
			for k, at := range draw.Choice(len(hashes), size) {
				chosen[k] = hashes[at]
			}
			var err error
			if sets[side], err = x.rows(chosen); err != nil {
				return d, err
			}
		}
		var err error
		if distances[i], err = metrics.KernelDistance(sets[0], sets[1]); err != nil {
			return d, err
		}
		d.mean += distances[i] / float64(len(distances))
	}
	for _, v := range distances {
		d.std += (v - d.mean) * (v - d.mean) / float64(len(distances))
	}
	d.std = math.Sqrt(d.std)
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
	return metrics.KernelDistance(p, q)
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
			p := &s.table.Rows[row]
			pair, err := x.rows([]string{p.RealHash, *candidate.hash(p)})
			if err == nil {
				var values []float64
				if values, err = metrics.PerceptualHashValue(pair[0], pair[1], layers,
					float32(s.settings.PHVThreshold)); err == nil {
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
		s.add(Metric{
			ID: fmt.Sprintf("phv_layer%d", layer+1), Group: groupPerceptual, Name: fmt.Sprintf("PHV (paper), layer %d", layer+1),
			Better: Lower, Decimals: 4,
		}, s.mean(column(0)), s.mean(column(1)), "no pair could be compared")
	}
}

// retrieval adds the fractions of images that find their partner, and a column of ranks.
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
		var found []int
		if err == nil {
			found, err = metrics.Retrieve(generated, truth)
		}
		if err != nil {
			s.problem(name, err)
			continue
		}
		ranks[c] = s.table.add(candidate.prefix + "rank_" + string(x.kind))
		for i, row := range rows[c] {
			ranks[c][row] = float64(found[i])
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
		m := Metric{
			ID: fmt.Sprintf("retrieval_%s_top%d", x.kind, k), Group: groupRetrieval,
			Name: fmt.Sprintf("%s top-%d (%s)", name, k, networkTitle(x.kind)), Better: Higher, Decimals: 3,
		}
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
