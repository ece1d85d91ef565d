package mosaic

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func drawAxis(t *rapid.T) axis {
	window := rapid.IntRange(1, 40).Draw(t, "window")
	overlap := rapid.IntRange(0, window/2).Draw(t, "overlap")
	a := newAxis(rapid.IntRange(1, 400).Draw(t, "length"), window, overlap)
	if rapid.Bool().Draw(t, "shifted") {
		a = a.shifted(rapid.IntRange(0, window).Draw(t, "by"))
	}
	if rapid.Bool().Draw(t, "sharp") {
		a = a.sharp()
	}
	return a
}

// Windows cover the axis from end to end and overlap by at least what was asked for, and their weights are a partition
// of unity at latents and at pixels.
func TestWeightsAddUpToOneProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, scale := drawAxis(t), rapid.IntRange(1, 4).Draw(t, "scale")
		sum := make([]float64, a.length*scale)
		for k, start := range a.starts {
			if start < 0 || start+a.window > a.length {
				t.Fatalf("window %d at %d of %d", k, start, a.length)
			}
			for i, w := range a.weights(k, scale) {
				if w < 0 || w > 1 {
					t.Fatalf("weight %v", w)
				}
				sum[start*scale+i] += float64(w)
			}
		}
		for i, s := range sum {
			if math.Abs(s-1) > 1e-6 {
				t.Fatalf("weights at %d add up to %v: %+v", i, s, a)
			}
		}
	})
}

// A hand-over has no jump: neighbouring places differ by no more than the steepest part of a raised cosine does.
func TestHandOversAreSmooth(t *testing.T) {
	a := newAxis(160, 64, 16)
	for k := range a.starts {
		w := a.weights(k, 1)
		for i := 1; i < len(w); i++ {
			if d := math.Abs(float64(w[i] - w[i-1])); d > math.Pi/2/16 {
				t.Errorf("window %d: a jump of %v at %d", k, d, i)
			}
		}
		if k > 0 && w[0] > 0.01 {
			t.Errorf("window %d begins with the weight %v", k, w[0])
		}
	}
}

// Groups share one window with the next, hold all, and their cores divide the axis.
func TestGroupsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, n := drawAxis(t), rapid.IntRange(3, 9).Draw(t, "n")
		groups := a.grouped(n)
		g := a.around(groups)
		end, owned := 1, 0
		for k, s := range groups {
			if s.first != end-1 || s.end <= s.first || s.end-s.first > n {
				t.Fatalf("groups %v of %d windows", groups, len(a.starts))
			}
			end = s.end
			from, to := g.core(k)
			if from != owned || to < from {
				t.Fatalf("core %d of %v is %d to %d", k, groups, from, to)
			}
			owned = to
			if low, high := a.starts[s.first], a.starts[s.end-1]+a.window; from < low || to > high {
				t.Fatalf("core %d to %d of windows from %d to %d", from, to, low, high)
			}
		}
		if end != len(a.starts) || owned != a.length {
			t.Fatalf("groups %v of %d windows, cores up to %d of %d", groups, len(a.starts), owned, a.length)
		}
	})
}

// within finds the windows that overlap a part of the axis, and no others.
func TestWithinProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAxis(t)
		from := rapid.IntRange(0, a.length-1).Draw(t, "from")
		to := rapid.IntRange(from+1, a.length).Draw(t, "to")
		first, end := a.within(from, to)
		for k, s := range a.starts {
			if overlaps := s < to && s+a.window > from; overlaps != (k >= first && k < end) {
				t.Fatalf("window %d at %d of %d; %d to %d are windows %d to %d", k, s, a.window, from, to, first, end)
			}
		}
	})
}
