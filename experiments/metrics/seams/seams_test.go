package seams_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics/seams"
	"github.com/histdist/histdist/internal/stain"
)

func separator(t *testing.T) *stain.Separator {
	t.Helper()
	s, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// noise is an image of independent pixels, brightened by step in every second tile.
func noise(width, height, side, step int, seed uint64) *imagefile.Image {
	r, m := rand.New(rand.NewPCG(seed, 1)), imagefile.New(width, height)
	for i := range m.Pix {
		x, y := i/3%width, i/3/width
		v := 100 + r.IntN(40)
		if (x/side+y/side)%2 == 1 {
			v += step
		}
		m.Pix[i] = uint8(v)
	}
	return m
}

// Without tiles all ratios are 1 but for chance; a step between tiles shows in each of them, the more the larger it is.
func TestStepsShow(t *testing.T) {
	const width, height, side = 512, 384, 64
	b := seams.Every(side, width, height)
	if len(b.X) != 7 || len(b.Y) != 5 {
		t.Fatalf("borders %v", b)
	}
	measure := func(step int) seams.Jumps {
		j, err := seams.Measure(noise(width, height, side, step, 3), b, separator(t))
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	none, some, much := measure(0), measure(20), measure(60)
	// Of 12 lines of 384 or more pixels, the mean of independent jumps has a standard error of 1 %; of squares, 6 %.
	for name, v := range map[string][3]float64{
		"intensity": {none.Intensity, some.Intensity, much.Intensity},
		"gradient":  {none.Gradient, some.Gradient, much.Gradient},
		"step":      {none.Step, some.Step, much.Step},
		"DAB":       {none.DAB, some.DAB, much.DAB},
	} {
		if v[0] < 0.8 || v[0] > 1.2 || v[1] < v[0]*1.05 || v[2] < v[1]*1.3 {
			t.Errorf("%s: %v without steps, %v and %v with", name, v[0], v[1], v[2])
		}
	}
	if one := much.Over(much); one.Worst() != 1 {
		t.Errorf("over itself: %v", one)
	}
}

// Rows and columns count alike: a turned image has the same jumps.
func TestTurnedProperty(t *testing.T) {
	s := separator(t)
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.IntRange(40, 70).Draw(t, "side")
		width, height := rapid.IntRange(2*side, 200).Draw(t, "width"), rapid.IntRange(2*side, 200).Draw(t, "height")
		m := noise(width, height, side, rapid.IntRange(0, 60).Draw(t, "step"), rapid.Uint64().Draw(t, "seed"))
		turned := imagefile.New(height, width)
		for y := range height {
			for x := range width {
				copy(turned.Pix[(x*height+y)*3:][:3], m.Pix[(y*width+x)*3:])
			}
		}
		a, errA := seams.Measure(m, seams.Every(side, width, height), s)
		b, errB := seams.Measure(turned, seams.Every(side, height, width), s)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if r := a.Over(b); r.Worst() > 1+1e-9 || b.Over(a).Worst() > 1+1e-9 {
			t.Errorf("%v, turned %v", a, b)
		}
	})
}

func TestRefuses(t *testing.T) {
	s := separator(t)
	flat := imagefile.New(128, 128)
	for name, test := range map[string]struct {
		img *imagefile.Image
		b   seams.Borders
	}{
		"no image":        {nil, seams.Every(64, 128, 128)},
		"no borders":      {noise(128, 128, 64, 0, 1), seams.Borders{}},
		"a border beyond": {noise(128, 128, 64, 0, 1), seams.Borders{X: []int{128}}},
		"small tiles":     {noise(128, 128, 64, 0, 1), seams.Every(16, 128, 128)},
		"flat":            {flat, seams.Every(64, 128, 128)},
	} {
		if _, err := seams.Measure(test.img, test.b, s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
