package tally_test

import (
	"context"
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/nuclei"
	"github.com/histdist/histdist/internal/stain/tally"
	"github.com/histdist/histdist/internal/synth"
)

// ihc is a stain of synthetic tissue with positive and negative nuclei.
func ihc(t testing.TB, size int) *imagefile.Image {
	t.Helper()
	c := synth.Default()
	c.Seed, c.Size = 7, size
	pair, err := synth.Generate(t.Context(), c, 3)
	if err != nil {
		t.Fatal(err)
	}
	return pair.IHC
}

// of reads parts of an image in memory.
func of(m *imagefile.Image) tally.Source {
	return func(_ context.Context, r image.Rectangle) (*imagefile.Image, error) {
		if !r.In(image.Rect(0, 0, m.Width, m.Height)) || r.Empty() {
			return nil, errors.New("outside the image")
		}
		part := imagefile.New(r.Dx(), r.Dy())
		for y := range r.Dy() {
			copy(part.Pix[3*y*r.Dx():][:3*r.Dx()], m.Pix[3*((r.Min.Y+y)*m.Width+r.Min.X):])
		}
		return part, nil
	}
}

// A part that is one tile has the numbers of an image of it, as packages stain and nuclei measure one.
func TestOneTile(t *testing.T) {
	m := ihc(t, 256)
	part := image.Rect(20, 30, 220, 250)
	cropped, err := of(m)(t.Context(), part)
	if err != nil {
		t.Fatal(err)
	}
	separator, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		t.Fatal(err)
	}
	for _, signal := range []nuclei.Signal{nuclei.RedDensity, nuclei.HaematoxylinDensity} {
		got, err := tally.Part(t.Context(), part, of(m), nil, tally.Options{MPP: 0.5, Signal: signal})
		if err != nil {
			t.Fatal(err)
		}
		intensity, err := stain.Measure(cropped, separator, stain.DAB, stain.PositiveDAB)
		if err != nil {
			t.Fatal(err)
		}
		d, err := nuclei.Detect(cropped, separator, nuclei.Options{MPP: 0.5, Signal: signal})
		if err != nil {
			t.Fatal(err)
		}
		grades, err := d.Grade(nuclei.QuPathThresholds())
		if err != nil {
			t.Fatal(err)
		}
		if grades.Positive() == 0 || grades.Negative == 0 {
			t.Fatalf("%+v: the test needs both", grades)
		}
		if diff := cmp.Diff(grades, got.Grades); diff != "" {
			t.Error(diff)
		}
		if got.PositiveShare() != intensity.PositiveFraction || got.Pixels != 200*220 || got.Area != 200*220*0.25/1e6 {
			t.Errorf("%+v, want a positive share of %v", got, intensity.PositiveFraction)
		}
		scores, some, err := got.Scores()
		if want, _ := grades.Scores(); err != nil || !some || scores != want {
			t.Errorf("%+v, %v", scores, err)
		}
	}
}

// Tiles change nothing: pixels count once, and nuclei where their centre is.
func TestTiles(t *testing.T) {
	m := ihc(t, 384)
	all := image.Rect(0, 0, m.Width, m.Height)
	whole, err := tally.Part(t.Context(), all, of(m), nil, tally.Options{MPP: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	for _, side := range []int{100, 127, 192} {
		tiled, err := tally.Part(t.Context(), all, of(m), nil, tally.Options{MPP: 0.5, Tile: side})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(whole, tiled); diff != "" {
			t.Errorf("in tiles of %d pixels: %s", side, diff)
		}
	}
}

// Of a mask its pixels and the nuclei with their centre in it count, and parts add up to the whole.
func TestMask(t *testing.T) {
	m := ihc(t, 160)
	all := image.Rect(0, 0, m.Width, m.Height)
	whole, err := tally.Part(t.Context(), all, of(m), nil, tally.Options{MPP: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	for cell, side := range map[int]int{1: 160, 7: 61, 40: 90} {
		in := func(x, y int) bool { return rand.NewPCG(uint64(cell), uint64(y/cell*160+x/cell)).Uint64()&1 == 0 }
		var parts [2]tally.Tally
		for i := range parts {
			counts := func(x, y int) bool { return in(x, y) == (i == 0) }
			if parts[i], err = tally.Part(t.Context(), all, of(m), counts, tally.Options{MPP: 0.5, Tile: side}); err != nil {
				t.Fatal(err)
			}
		}
		a, b := parts[0], parts[1]
		if a.Pixels+b.Pixels != whole.Pixels || a.Positive+b.Positive != whole.Positive ||
			a.Total()+b.Total() != whole.Total() {
			t.Errorf("%+v and %+v are not %+v", a, b, whole)
		}
	}
}

// Where nothing counts, nothing is read and there are no scores; errors of reading, and the end of a context, are
// errors.
func TestNothing(t *testing.T) {
	broken := errors.New("broken")
	read := func(context.Context, image.Rectangle) (*imagefile.Image, error) { return nil, broken }
	none := func(int, int) bool { return false }
	got, err := tally.Part(t.Context(), image.Rect(0, 0, 9, 9), read, none, tally.Options{MPP: 0.5})
	if err != nil || got.Pixels != 0 || !math.IsNaN(got.PositiveShare()) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, some, err := got.Scores(); some || err != nil {
		t.Errorf("scores %t, %v", some, err)
	}
	small := image.Rect(0, 0, 9, 9)
	if _, err := tally.Part(t.Context(), small, read, nil, tally.Options{MPP: 0.5}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := tally.Part(t.Context(), small, read, nil, tally.Options{}); err == nil {
		t.Error("pixels of no size: no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tally.Part(ctx, small, read, nil, tally.Options{MPP: 0.5}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
