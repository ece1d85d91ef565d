package experiments_test

import (
	"errors"
	"testing"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/option"
)

// A validation translates with its own numbers of steps, or as a preset of the base says.
func TestSampler(t *testing.T) {
	c := experiments.Default()
	own := model.Preset{Sampling: schedule.Balanced()}
	own.StepsTranslation = 3
	for _, test := range []struct {
		preset    string
		purpose   model.Purpose
		steps     [2]int
		inversion schedule.Solver
	}{
		{"", model.Purpose{}, [2]int{50, 50}, schedule.SolverDDIM},
		{"paper", model.Purpose{}, [2]int{100, 100}, schedule.SolverDDIM},
		{"balanced", model.Purpose{}, [2]int{5, 15}, schedule.SolverDPM},
		{"balanced", model.Purpose{Presets: model.Presets{Balanced: &own}}, [2]int{5, 3}, schedule.SolverDPM},
		{"fast", model.Purpose{Presets: model.Presets{Fast: &own}}, [2]int{5, 3}, schedule.SolverDPM},
	} {
		c.Validation.Preset, c.Validation.Seed = test.preset, 7
		s, err := c.Sampler(test.purpose)
		if err != nil {
			t.Fatal(err)
		}
		steps := [2]int{s.StepsInversion, s.StepsTranslation}
		if steps != test.steps || s.SolverInversion != test.inversion || s.Seed != 7 {
			t.Errorf("%q: %+v", test.preset, s)
		}
	}
	c.Validation.Preset = "fast"
	var wrong *option.KeyError
	if _, err := c.Sampler(model.Purpose{}); !errors.As(err, &wrong) || wrong.Key != "validation.preset" {
		t.Errorf("no preset fast: %v", err)
	}
}
