package evaluate

import (
	"context"
	"fmt"
	"math"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics/seams"
)

// seamMeasures are the jumps at borders of tiles.
var seamMeasures = [...]struct {
	id, name string
	of       func(seams.Jumps) float64
}{
	{"seam_intensity", "Seams: intensity", func(j seams.Jumps) float64 { return j.Intensity }},
	{"seam_gradient", "Seams: gradient", func(j seams.Jumps) float64 { return j.Gradient }},
	{"seam_step", "Seams: mean intensity", func(j seams.Jumps) float64 { return j.Step }},
	{"seam_dab", "Seams: mean DAB", func(j seams.Jumps) float64 { return j.DAB }},
}

// seams adds the seams of the virtual images, relative to the H&E or, without it, to the real image.
func (e *evaluation) seams(ctx context.Context, s *summary) error {
	reference := realSet
	if e.o.HE != "" {
		reference = heSet
	}
	var columns [len(seamMeasures)][]float64
	for i, m := range seamMeasures {
		columns[i] = e.table.add(m.id)
	}
	for row := range e.table.Rows {
		if err := e.progress("measuring seams", row, len(e.table.Rows)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		p := e.table.Rows[row].Match
		if !e.m.readable[virtualSet][row] || !e.m.readable[reference][row] {
			continue
		}
		j, err := e.jumps(virtualSet.path(p))
		if err == nil {
			var of seams.Jumps
			if of, err = e.jumps(reference.path(p)); err == nil {
				j = j.Over(of)
			}
		}
		if err != nil {
			e.problem(fmt.Sprintf("%s (seams)", virtualSet.path(p)), err)
			continue
		}
		for i, m := range seamMeasures {
			columns[i][row] = m.of(j)
		}
	}
	for i, m := range seamMeasures {
		added := s.add(Metric{ID: m.id, Group: groupSeams, Name: m.name, Better: Lower, Decimals: 3},
			s.mean(columns[i]), estimate{value: math.NaN()}, "no image could be compared")
		added.Ceiling = &Reference{Value: 1, N: added.N, Note: "no seams"}
	}
	return nil
}

// jumps are those of one image at the borders of its tiles.
func (e *evaluation) jumps(path string) (seams.Jumps, error) {
	m, err := imagefile.Read(path, e.o.Settings.read())
	if err != nil {
		return seams.Jumps{}, err
	}
	return seams.Measure(m, seams.Every(e.o.Settings.Seams, m.Width, m.Height), e.stains)
}
