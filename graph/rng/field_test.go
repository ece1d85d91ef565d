package rng_test

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/rng"
)

// Two parts of the plane agree where they overlap, whatever their sizes and places.
func TestFieldIsAFunctionOfThePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rng.Field{Seed: rapid.Int64().Draw(t, "seed")}
		draw, c := rapid.Uint64().Draw(t, "draw"), rapid.IntRange(1, 5).Draw(t, "channels")
		side, place := rapid.IntRange(1, 8), rapid.IntRange(-100_000, 100_000)
		h, w, y, x := side.Draw(t, "h"), side.Draw(t, "w"), place.Draw(t, "y"), place.Draw(t, "x")
		whole := make([]float32, h*w*c)
		if err := f.Fill(whole, draw, y, x, h, w, c); err != nil {
			t.Fatal(err)
		}
		i, j := rapid.IntRange(0, h-1).Draw(t, "row"), rapid.IntRange(0, w-1).Draw(t, "column")
		part := make([]float32, (h-i)*(w-j)*c)
		if err := f.Fill(part, draw, y+i, x+j, h-i, w-j, c); err != nil {
			t.Fatal(err)
		}
		for r := range h - i {
			want := whole[((i+r)*w+j)*c : (i+r+1)*w*c]
			if got := part[r*(w-j)*c : (r+1)*(w-j)*c]; !slices.Equal(got, want) {
				t.Fatalf("row %d: %v, in the whole %v", r, got, want)
			}
		}
	})
}

// The numbers are normal, and those of neighbours, channels, draws and seeds are independent: means, deviations and
// correlations are within 5 standard errors, and so is the Kolmogorov-Smirnov distance from the normal distribution.
func TestFieldIsNormal(t *testing.T) {
	const side, channels = 256, 4
	fill := func(seed int64, draw uint64, y, x int) []float64 {
		dst := make([]float32, side*side*channels)
		if err := (rng.Field{Seed: seed}).Fill(dst, draw, y, x, side, side, channels); err != nil {
			t.Fatal(err)
		}
		wide := make([]float64, len(dst))
		for i, v := range dst {
			wide[i] = float64(v)
		}
		return wide
	}
	a := fill(1, 0, 0, 0)
	n := math.Sqrt(float64(len(a)))
	mean, deviation := stat.MeanStdDev(a, nil)
	if math.Abs(mean)*n > 5 || math.Abs(deviation-1)*n*math.Sqrt2 > 5 {
		t.Errorf("mean %v, deviation %v", mean, deviation)
	}
	for name, b := range map[string][]float64{
		"next seed": fill(2, 0, 0, 0), "next draw": fill(1, 1, 0, 0), "row below": fill(1, 0, 1, 0),
		"next column": fill(1, 0, 0, 1), "next channel": append(a[1:len(a):len(a)], a[0]),
	} {
		if r := stat.Correlation(a, b, nil); math.Abs(r)*n > 5 {
			t.Errorf("%s: correlation %v", name, r)
		}
	}
	slices.Sort(a)
	var distance float64
	for i, v := range a {
		distance = max(distance, math.Abs(0.5*math.Erfc(-v/math.Sqrt2)-float64(i)/float64(len(a))))
	}
	if distance*n > 2.5 { // the probability of more is 7e-6
		t.Errorf("distance %v from the normal distribution", distance)
	}
}

func TestFieldRefusesAnotherSize(t *testing.T) {
	if err := (rng.Field{}).Fill(make([]float32, 5), 0, 0, 0, 2, 2, 1); err == nil {
		t.Error("no error")
	}
}
