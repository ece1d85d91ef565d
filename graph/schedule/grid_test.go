package schedule_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/schedule"
)

func vSchedule(t testing.TB, toOne bool) *schedule.Schedule {
	t.Helper()
	c := schedule.DefaultConfig()
	c.BetaStart, c.BetaEnd, c.BetaSchedule, c.ClipSample = 0.00085, 0.012, schedule.ScaledLinear, false
	c.PredictionType, c.TimestepSpacing, c.RescaleBetasZeroSNR = schedule.VPrediction, schedule.Trailing, true
	c.SetAlphaToOne = toOne
	return newSchedule(t, c)
}

// A grid's segments begin at the time steps of a run with as many steps as segments.
func TestGridBorders(t *testing.T) {
	s := vSchedule(t, false)
	for _, test := range []struct{ levels, segments int }{
		{48, 1}, {48, 2}, {48, 3}, {48, 4}, {50, 2}, {61, 1}, {1000, 8},
	} {
		g, err := s.Grid(test.levels, test.segments)
		if err != nil {
			t.Fatal(err)
		}
		_, steps, err := schedule.SolverDDIM.Translation(s, test.segments)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []int
		for level := g.Len(); level > 0; level = g.Border(level) {
			got = append(got, g.Timestep(level))
			if back, err := g.Level(g.Timestep(level)); err != nil || back != level {
				t.Errorf("level %d of %+v: %d, %v", level, test, back, err)
			}
		}
		for _, step := range steps {
			want = append(want, step.Timestep)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: %s", test, diff)
		}
	}
}

// Move is a step of DDIM with η 0, down to the sample without noise, and Velocity is its inverse.
func TestGridMoves(t *testing.T) {
	s := vSchedule(t, true)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 2, 4, 5, 10, 20, 50}).Draw(t, "levels") // 1000 is a multiple, as DDIM's steps want
		g, err := s.Grid(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		from := rapid.IntRange(1, n).Draw(t, "from")
		numbers := rapid.SliceOfN(rapid.Float32Range(-3, 3), 4, 4)
		x, v := numbers.Draw(t, "x"), numbers.Draw(t, "v")
		want, got, back := append([]float32(nil), x...), make([]float32, 4), make([]float32, 4)
		if err := schedule.DDIM(s, want, v, schedule.Step{Timestep: g.Timestep(from), Steps: n}); err != nil {
			t.Fatal(err)
		}
		g.Move(got, x, v, from, from-1)
		near := func(what string, got, want []float32, tolerance float64) {
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > tolerance {
					t.Fatalf("%s: %v, want %v", what, got, want)
				}
			}
		}
		near("move", got, want, 2e-6) // rounding of float32
		to := rapid.IntRange(0, from-1).Draw(t, "to")
		g.Move(got, x, v, from, to)
		g.Velocity(back, x, got, from, to)
		near("velocity", back, v, 1e-4) // divided by a sine of 0.02 and more
	})
}

func TestGridRefuses(t *testing.T) {
	s := vSchedule(t, false)
	for _, test := range [][2]int{{0, 1}, {1001, 1}, {10, 3}, {10, 0}} {
		if _, err := s.Grid(test[0], test[1]); err == nil || !strings.Contains(err.Error(), "a multiple of the segments") {
			t.Errorf("%v: %v", test, err)
		}
	}
	g, err := s.Grid(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, timestep := range []int{-1, 0, 100} {
		if _, err := g.Level(timestep); err == nil {
			t.Errorf("time step %d is on the grid", timestep)
		}
	}
	c := s.Config
	c.TimestepSpacing = schedule.Leading
	_, err = newSchedule(t, c).Grid(10, 1)
	if err == nil || !strings.Contains(err.Error(), "want v_prediction and trailing") {
		t.Error(err)
	}
}
