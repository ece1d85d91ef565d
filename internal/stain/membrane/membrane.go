// Package membrane scores stains of cell membranes, such as HER2's, by what pathologists look at: how much of a cell's
// outline is brown, and how brown. Like package nuclei it can't tell tumour from stroma, so that fractions are of all
// cells; its scores compare images measured alike and grade no patient.
//
//	nuclei.Detect, in haematoxylin ──▶ a cell for each nucleus
//	       ── from each nucleus outwards in all directions, to the next one: the strongest DAB of each ──▶ a Cell
//	Cells  ── Grades ──▶ share of cells with a complete membrane; score 0 to 3+
package membrane

import (
	"errors"
	"fmt"
	"math"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/nuclei"
)

// Cell is what was found around a nucleus.
type Cell struct {
	X, Y float64 // the nucleus's centroid in pixels
	// Complete is the part of the directions in which the membrane is stained, 0..1.
	Complete float64
	// Intensity is the mean optical density of DAB of those, 0 without any.
	Intensity float64
}

// What a membrane looks like. The reach covers most tumour cells, whose membranes lie 2 to 5 µm from the nucleus; a
// thin line is at most half as dense in a scan as it is in the tissue.
const (
	directions = 32
	reach      = 6.0 // µm from the nucleus
	step       = 0.5 // pixels
)

// Thresholds are the optical densities of DAB from which a membrane is stained at all, and intensely.
type Thresholds struct{ Stained, Intense float64 }

// DefaultThresholds are QuPath's of 1+ and 3+ for nuclei.
func DefaultThresholds() Thresholds {
	q := nuclei.QuPathThresholds()
	return Thresholds{q[0], q[2]}
}

// Measure looks for the membranes of the nuclei of an image, in their order. mpp is µm per pixel.
func Measure(img *imagefile.Image, d *nuclei.Detection, p *stain.Separator, mpp float64, t Thresholds) ([]Cell, error) {
	if err := img.Check(); err != nil {
		return nil, fmt.Errorf("membrane: %w", err)
	}
	switch {
	case d.Width != img.Width || d.Height != img.Height:
		return nil, fmt.Errorf("membrane: nuclei of %d×%d pixels in an image of %d×%d", d.Width, d.Height, img.Width,
			img.Height)
	case !(mpp >= 0.1 && mpp <= 2):
		return nil, fmt.Errorf("membrane: µm per pixel is %v; it must be 0.1..2", mpp)
	case !(t.Stained > 0 && t.Stained <= t.Intense):
		return nil, fmt.Errorf("membrane: the thresholds of DAB are %+v; they must rise from above 0", t)
	}
	dab, err := p.Table(stain.DAB)
	if err != nil {
		return nil, fmt.Errorf("membrane: %w", err)
	}
	cells := make([]Cell, len(d.Nuclei))
	for k, n := range d.Nuclei {
		c := Cell{X: n.X, Y: n.Y}
		stained := 0
		for i := range directions {
			if v := strongest(img, d, int32(k+1), dab, 2*math.Pi*float64(i)/directions, mpp) / p.Unit(); v >= t.Stained {
				stained++
				c.Intensity += v
			}
		}
		c.Complete = float64(stained) / directions
		if stained > 0 {
			c.Intensity /= float64(stained)
		}
		cells[k] = c
	}
	return cells, nil
}

// strongest is the strongest DAB from the edge of nucleus k outwards, up to the reach or the next nucleus.
func strongest(img *imagefile.Image, d *nuclei.Detection, k int32, dab *stain.Table, angle, mpp float64) float64 {
	most := 0.0
	sin, cos := math.Sincos(angle)
	n := d.Nuclei[k-1]
	left := reach / mpp
	for r := 0.0; left > 0; r += step {
		x, y := int(math.Floor(n.X+r*cos)), int(math.Floor(n.Y+r*sin))
		if x < 0 || y < 0 || x >= d.Width || y >= d.Height {
			break
		}
		i := y*d.Width + x
		label := d.Labels[i]
		if label == k { // the next pixel may be outside
			most = 0
			left = reach / mpp
		} else if label != 0 {
			break
		} else {
			left -= step
		}
		most = max(most, dab.At(img.Pix[3*i], img.Pix[3*i+1], img.Pix[3*i+2]))
	}
	return most
}

// Grades count cells by their membranes, as ASCO and CAP do for HER2 (Wolff et al., J. Clin. Oncol. 36, 2018).
type Grades struct {
	Negative   int // 0: no staining, or of less than a quarter of the membrane
	Incomplete int // 1+
	Complete   int // 2+: weak to moderate
	Intense    int // 3+: complete and intense
}

// The parts of a membrane from which it counts as stained at all, and as complete: gaps, and neighbours that touch, are
// in every real one.
const (
	partial  = 0.25
	complete = 0.75
)

// Grade counts cells.
func Grade(cells []Cell, t Thresholds) (g Grades) {
	for _, c := range cells {
		switch {
		case c.Complete < partial:
			g.Negative++
		case c.Complete < complete:
			g.Incomplete++
		case c.Intensity < t.Intense:
			g.Complete++
		default:
			g.Intense++
		}
	}
	return g
}

// Total is the number of cells.
func (g Grades) Total() int { return g.Negative + g.Incomplete + g.Complete + g.Intense }

// Share is the part of the cells with a complete membrane, 2+ and 3+, 0..1; without cells it fails with
// nuclei.ErrNoNuclei.
func (g Grades) Share() (float64, error) {
	if g.Total() == 0 {
		return 0, fmt.Errorf("membrane: share of an image: %w", nuclei.ErrNoNuclei)
	}
	return float64(g.Complete+g.Intense) / float64(g.Total()), nil
}

// Score is the highest grade that more than 10 % of the cells have or exceed, 0 to 3; without cells it fails with
// nuclei.ErrNoNuclei. ASCO and CAP count the cells of the invasive tumour alone.
func (g Grades) Score() (int, error) {
	if min(g.Negative, g.Incomplete, g.Complete, g.Intense) < 0 {
		return 0, errors.New("membrane: counts can't be negative")
	}
	n := g.Total()
	switch {
	case n == 0:
		return 0, fmt.Errorf("membrane: score of an image: %w", nuclei.ErrNoNuclei)
	case 10*g.Intense > n:
		return 3, nil
	case 10*(g.Intense+g.Complete) > n:
		return 2, nil
	case 10*(g.Intense+g.Complete+g.Incomplete) > n:
		return 1, nil
	}
	return 0, nil
}
