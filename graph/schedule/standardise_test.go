package schedule_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/schedule"
)

// Every channel of every sample has mean 0 and unbiased deviation 1 afterwards, whatever the others hold.
func TestStandardiseProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dimension := rapid.IntRange(1, 4)
		shape := [4]int{
			dimension.Draw(t, "n"), dimension.Draw(t, "h"), rapid.IntRange(2, 5).Draw(t, "w"),
			dimension.Draw(t, "c"),
		}
		n, pixels, channels := shape[0], shape[1]*shape[2], shape[3]
		x := make([]float32, n*pixels*channels)
		for i := range x {
			x[i] = rapid.Float32Range(-0.4, 0.4).Draw(t, "x") + float32(i) // never constant
		}
		if err := schedule.Standardise(x, shape); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for c := range channels {
				var sum, squares float64
				for p := range pixels {
					v := float64(x[(i*pixels+p)*channels+c])
					sum, squares = sum+v, squares+v*v
				}
				if mean, variance := sum/float64(pixels),
					squares/float64(pixels-1); math.Abs(mean) > 1e-6 || math.Abs(variance-1) > 1e-5 {
					t.Errorf("channel %d of sample %d: mean %v, variance %v", c, i, mean, variance)
				}
			}
		}
	})
}

func TestStandardiseRefuses(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, test := range []struct {
		name  string
		x     []float32
		shape [4]int
	}{
		{"a constant channel", []float32{1, 0.1, 2, 0.1, 3, 0.1}, [4]int{1, 1, 3, 2}},
		{"one pixel", []float32{1, 2}, [4]int{2, 1, 1, 1}},
		{"infinite", []float32{1, inf, 2, 3}, [4]int{1, 2, 2, 1}},
		{"another size", []float32{1, 2, 3, 4}, [4]int{1, 2, 2, 2}},
		{"no pixels", []float32{}, [4]int{1, 0, 2, 2}},
		{"product that overflows", []float32{}, [4]int{1 << 32, 1 << 32, 1, 1}},
	} {
		before := slices.Clone(test.x)
		if err := schedule.Standardise(test.x, test.shape); err == nil {
			t.Errorf("%s: no error", test.name)
		}
		if !slices.Equal(test.x, before) {
			t.Errorf("%s: latents have changed", test.name)
		}
	}
}

func TestNormalizeNames(t *testing.T) {
	for _, name := range []string{"none", "inversion", "steps"} {
		var n schedule.Normalize
		if err := n.UnmarshalText([]byte(name)); err != nil || string(n) != name {
			t.Errorf("%s: %v, %v", name, n, err)
		}
	}
	var n schedule.Normalize
	if err := n.UnmarshalText([]byte("always")); err == nil {
		t.Error("always: no error")
	}
}
