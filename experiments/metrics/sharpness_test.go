package metrics_test

import (
	"math"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics"
)

// drawn is a grey image of a function of the place.
func drawn(width, height int, of func(x, y int) float64) *imagefile.Image {
	m := imagefile.New(width, height)
	for i := range m.Pix {
		m.Pix[i] = uint8(math.Round(of(i/3%width, i/3/width)))
	}
	return m
}

func TestSharpness(t *testing.T) {
	check := func(x, y int) float64 { return float64(200 * ((x + y) % 2)) }
	for name, test := range map[string]struct {
		img  *imagefile.Image
		want float64
	}{
		"one colour": {drawn(8, 6, func(_, _ int) float64 { return 77 }), 0},
		"a ramp":     {drawn(8, 6, func(x, y int) float64 { return float64(3*x + 5*y) }), 0},
		// Each neighbour differs by 200: the Laplacian is 800 and −800 in turn.
		"checks": {drawn(8, 6, check), 800 * 800},
		// 90 in the middle: −360 there, 90 in four of the nine inner pixels, 0 in four: (360² + 4·90²)/9 − 0.
		"a point": {drawn(5, 5, func(x, y int) float64 { return float64(90 * (x / 2 % 2 * (1 - x%2)) * (y / 2 % 2 * (1 - y%2))) }), (360*360 + 4*90*90) / 9.},
	} {
		got, err := metrics.Sharpness(test.img)
		if err != nil || math.Abs(got-test.want) > 1e-9*max(1, test.want) {
			t.Errorf("%s: %v, want %v, %v", name, got, test.want, err)
		}
	}
	// A pure green image has 0.587 of the luma, so that its Laplacian has 0.587² of the variance.
	green := drawn(8, 6, check)
	for i := range green.Pix {
		if i%3 != 1 {
			green.Pix[i] = 0
		}
	}
	if got, err := metrics.Sharpness(green); err != nil || math.Abs(got-0.587*0.587*640000) > 1e-6 {
		t.Errorf("green: %v, %v", got, err)
	}
	if _, err := metrics.Sharpness(drawn(2, 9, check)); err == nil {
		t.Error("an image of two columns has a sharpness")
	}
}

func TestFinePower(t *testing.T) {
	grating := func(fx, fy float64) *imagefile.Image {
		return drawn(120, 96, func(x, y int) float64 { return 128 + 100*math.Cos(2*math.Pi*(fx*float64(x)+fy*float64(y))) })
	}
	for name, test := range map[string]struct {
		img  *imagefile.Image
		want float64 // rounding to grey levels adds a variance of 1/12
	}{
		"one colour":                    {drawn(50, 40, func(_, _ int) float64 { return 9 }), 0},
		"a coarse grating":              {grating(0.1, 0), 0},
		"below half of Nyquist's":       {grating(0.15, 0.15), 0}, // 0.21
		"a fine grating":                {grating(0.4, 0), 5000},
		"above in neither axis, but in": {grating(0.2, 0.2), 5000},  // 0.28
		"checks":                        {grating(0.5, 0.5), 10000}, // ±100 in turn: its mean square
	} {
		got, err := metrics.FinePower(test.img)
		if err != nil || math.Abs(got-test.want) > 0.1+0.002*test.want {
			t.Errorf("%s: %v, want %v, %v", name, got, test.want, err)
		}
	}
}
