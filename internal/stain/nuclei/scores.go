package nuclei

import (
	"errors"
	"fmt"
)

// Thresholds are the mean optical densities of DAB from which a nucleus is weakly (1+), moderately (2+) and strongly
// (3+) positive.
type Thresholds [3]float64

// QuPathThresholds are the defaults of QuPath's positive cell detection, for vectors that fit the slide.
func QuPathThresholds() Thresholds { return Thresholds{0.2, 0.4, 0.6} }

// Grades count nuclei by how strongly DAB stains them.
type Grades struct{ Negative, Weak, Moderate, Strong int }

// Scores sum up the nuclei of an image.
type Scores struct {
	Grades
	// Ki67Index is the percentage of positive nuclei of any grade (Nielsen et al., J. Natl. Cancer Inst. 113, 2021),
	// whatever the marker.
	Ki67Index float64
	// HScore is 1·% weak + 2·% moderate + 3·% strong, 0..300 (McCarty et al., Arch. Pathol. Lab. Med. 109, 1985). Each
	// nucleus is graded by its mean, as in QuPath; a pathologist estimates the grades.
	HScore float64
	// AllredProportion is 0..5: none, below 1 %, 10 %, 1/3, 2/3 of the nuclei are positive, or more (Allred et al., Mod.
	// Pathol. 11, 1998). A fraction on a border gets the higher score, as in QuPath; in the paper the lower.
	AllredProportion int
	// AllredIntensity is 0..3: the mean grade of the positive nuclei, rounded like QuPath to 2 above 5/3 and 3 above 7/3.
	AllredIntensity int
	Allred          int // the sum of both, 0..8
}

// ErrNoNuclei says that there are no nuclei to score.
var ErrNoNuclei = errors.New("no nuclei")

// Grade counts the nuclei by their mean DAB. A detection without DAB, as in an H&E image, is an error, and so are
// thresholds that don't rise.
func (d *Detection) Grade(t Thresholds) (Grades, error) {
	if !d.HasDAB {
		return Grades{}, errors.New("nuclei: DAB wasn't measured; use a separator for DAB, such as QuPathHDAB's")
	}
	if !(t[0] <= t[1] && t[1] <= t[2]) {
		return Grades{}, fmt.Errorf("nuclei: the thresholds of DAB are %v; they must rise", t)
	}
	var g Grades
	for _, n := range d.Nuclei {
		switch {
		case n.DAB >= t[2]:
			g.Strong++
		case n.DAB >= t[1]:
			g.Moderate++
		case n.DAB >= t[0]:
			g.Weak++
		default:
			g.Negative++
		}
	}
	return g, nil
}

// Positive is the number of nuclei of any grade.
func (g Grades) Positive() int { return g.Weak + g.Moderate + g.Strong }

// Total is the number of nuclei.
func (g Grades) Total() int { return g.Negative + g.Positive() }

// Scores computes the scores; without nuclei it fails with ErrNoNuclei. Grades of several images may be added first.
func (g Grades) Scores() (Scores, error) {
	if min(g.Negative, g.Weak, g.Moderate, g.Strong) < 0 {
		return Scores{}, fmt.Errorf("nuclei: grades are %+v; counts can't be negative", g)
	}
	if g.Total() == 0 {
		return Scores{}, fmt.Errorf("nuclei: scores of an image: %w", ErrNoNuclei)
	}
	s := Scores{Grades: g}
	positive, total := g.Positive(), g.Total()
	s.Ki67Index = 100 * float64(positive) / float64(total)
	graded := g.Weak + 2*g.Moderate + 3*g.Strong
	s.HScore = 100 * float64(graded) / float64(total)
	// In integers, so that exactly one third is recognised.
	switch {
	case 3*positive >= 2*total:
		s.AllredProportion = 5
	case 3*positive >= total:
		s.AllredProportion = 4
	case 10*positive >= total:
		s.AllredProportion = 3
	case 100*positive >= total:
		s.AllredProportion = 2
	case positive > 0:
		s.AllredProportion = 1
	}
	switch {
	case positive == 0:
	case 3*graded > 7*positive:
		s.AllredIntensity = 3
	case 3*graded > 5*positive:
		s.AllredIntensity = 2
	default:
		s.AllredIntensity = 1
	}
	s.Allred = s.AllredProportion + s.AllredIntensity
	return s, nil
}
