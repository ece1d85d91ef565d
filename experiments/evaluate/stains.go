package evaluate

import (
	"math"

	"github.com/histdist/histdist/experiments/metrics/stats"
	"github.com/histdist/histdist/internal/stain"
)

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

func magnitude(values []float64) []float64 {
	if values == nil {
		return nil
	}
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Abs(v)
	}
	return out
}

// sumRatio is the sum of y divided by the sum of x.
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

// stains adds the comparisons of stains and nuclei.
func (s *summary) stains() {
	s.measures(groupStain)
	s.pooled()
	s.measures(groupNuclei)
}

// column is the column of an image measure.
func (s *summary) column(from source, id string) []float64 {
	return s.table.Values(from.String() + "_" + id)
}

// images adds the comparisons of the measures of a group.
func (s *summary) images(group string) {
	for _, m := range s.settings.imageMeasures() {
		if m.group != group {
			continue
		}
		x, y, z := s.column(realSet, m.id), s.column(virtualSet, m.id), s.column(heSet, m.id)
		base := Metric{Group: group, Unit: m.unit, Decimals: m.decimals}
		if rows := known(x, y); len(rows) > 0 {
			base.Real, base.Virtual = number(stats.Mean(pick(x, rows))), number(stats.Mean(pick(y, rows)))
			base.MeanUnit, base.MeanDecimals = m.unit, m.decimals
		}
		if m.has(pearson) {
			line := base
			line.ID, line.Name, line.Unit, line.Better, line.Decimals = m.id+"_pearson", m.name+": Pearson's r", "", Higher, 3
			s.add(line, s.of(x, y, stats.Pearson), s.of(x, z, stats.Pearson),
				"one side does not vary, or there are fewer than two pairs")
		}
		if m.has(bias) {
			line := base
			line.ID, line.Name, line.Better = m.id+"_bias", m.name+": mean difference", Zero
			added := s.add(line, s.mean(difference(x, y)), s.mean(difference(x, z)), "no pair could be compared")
			if a, b := s.halves(known(x)); len(a) > 0 && len(b) > 0 {
				added.Ceiling = &Reference{
					Value: Number(stats.Mean(pick(x, b)) - stats.Mean(pick(x, a))), N: len(b),
					Note: halvesNote,
				}
			}
		}
		if m.has(absolute) {
			line := base
			line.ID, line.Name, line.Better = m.id+"_mae", m.name+": mean absolute difference", Lower
			s.add(line, s.mean(magnitude(difference(x, y))), s.mean(magnitude(difference(x, z))), "no pair could be compared")
		}
		if m.has(ratio) {
			line := base
			line.ID, line.Name, line.Unit, line.Better, line.Decimals = m.id+"_ratio", m.name+": virtual / real", "", One, 3
			s.add(line, s.of(x, y, sumRatio), s.of(x, z, sumRatio), "the real images have none")
		}
	}
}

// pooled adds the comparison of the DAB histograms of all images.
func (s *summary) pooled() {
	nan := estimate{value: math.NaN()}
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
	added := s.add(Metric{
		ID: "dab_jsd_pooled", Group: groupStain, Name: "DAB histogram of all pixels: Jensen–Shannon divergence",
		Unit: "bit", Better: Lower, Decimals: 4,
	}, pooled(&p[realSet], &p[virtualSet]), floor, "no image could be measured")
	added.N = len(known(s.column(realSet, imageMeasures[0].id)))
	h := &s.measured.halves
	added.Ceiling = pooled(&h[0], &h[1]).reference(halvesNote)
}
