package tune

import (
	"fmt"

	"github.com/histdist/histdist/graph/schedule"
)

// rung is a sampling that is measured.
type rung struct {
	family string // whose curve it is on
	name   string // also of its folder
	schedule.Sampling
	seed int64
}

// The families of samplings.
const (
	familyPaper = "paper's sampler"
	familySA    = "DPM-Solver++, then SA-Solver"
)

// reference and second are the paper's sampling with two seeds.
const (
	reference = "paper"
	second    = "another seed"
)

// ladder returns the paper's sampling with two seeds, then each family from many calls to few: the paper's with fewer
// steps, and schedule.Balanced with more and fewer.
func ladder() []rung {
	list := []rung{{familyPaper, reference, schedule.Paper(), 0}, {"", second, schedule.Paper(), 1}}
	add := func(family string, s schedule.Sampling, up, down int) {
		s.StepsInversion, s.StepsTranslation = up, down
		list = append(list, rung{family, fmt.Sprintf("%s-%d+%s-%d", s.SolverInversion, up, s.Solver, down), s, 0})
	}
	for _, n := range []int{50, 20, 10, 5} {
		add(familyPaper, schedule.Paper(), n, n)
	}
	for _, steps := range [][2]int{{10, 20}, {5, 15}, {4, 10}, {3, 7}, {2, 4}} {
		add(familySA, schedule.Balanced(), steps[0], steps[1])
	}
	return list
}
