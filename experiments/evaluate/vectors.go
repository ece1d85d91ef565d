package evaluate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
)

// separator uses the settings' vectors, or estimates them.
func (e *evaluation) separator(ctx context.Context) (*stain.Separator, error) {
	vectors, source := stain.QuPathHDAB(), "QuPath's default vectors"
	if e.o.Settings.Vectors == Macenko {
		estimated, n, err := e.macenko(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			e.problem("stain vectors by Macenko's method", fmt.Errorf("%w; QuPath's default vectors are used", err))
		default:
			vectors, source = estimated, fmt.Sprintf("Macenko's method, median over %d real images", n)
		}
	}
	s, err := stain.New(vectors)
	if err != nil {
		return nil, err
	}
	unit := s.Stains().Vectors
	e.results.Stains = StainsUsed{unit[0], unit[1], source}
	return s, nil
}

// macenko is the median of the estimates from the first real images, except those with too little stain.
func (e *evaluation) macenko(ctx context.Context) (stain.Stains, int, error) {
	var components [2][3][]float64
	out := stain.QuPathHDAB()
	rows := e.table.Rows[:min(macenkoImages, len(e.table.Rows))]
	n := 0
	for i, row := range rows {
		if ctx.Err() != nil {
			return out, 0, ctx.Err()
		}
		if err := e.progress("estimating stain vectors", i, len(rows)); err != nil {
			return out, 0, err
		}
		img, err := imagefile.Read(row.Real, e.o.Settings.read())
		if err != nil {
			continue // a problem when it is measured
		}
		s, err := stain.Macenko([]*imagefile.Image{img}, stain.DAB, stain.MacenkoOptions{})
		if errors.Is(err, stain.ErrEstimate) {
			continue
		}
		if err != nil {
			return out, 0, err
		}
		n++
		for dye := range components {
			for c := range 3 {
				components[dye][c] = append(components[dye][c], s.Vectors[dye][c])
			}
		}
	}
	if n == 0 {
		return out, 0, fmt.Errorf("none of the first %d real images shows enough of two stains", len(rows))
	}
	for dye := range components {
		for c, values := range components[dye] {
			slices.Sort(values)
			out.Vectors[dye][c] = (values[(n-1)/2] + values[n/2]) / 2
		}
	}
	return out, n, nil
}
