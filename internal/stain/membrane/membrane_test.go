package membrane_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics/stats"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/membrane"
	"github.com/histdist/histdist/internal/stain/nuclei"
	"github.com/histdist/histdist/internal/synth"
)

const mpp = 0.5

func hdab(t *testing.T) *stain.Separator {
	t.Helper()
	p, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ring is a cell as it is painted: a round nucleus, and a membrane 4 µm from its middle along a part of the circle.
type ring struct{ x, y, part, dab float64 }

func paint(t *testing.T, side int, rings []ring) *imagefile.Image {
	t.Helper()
	v := hdab(t).Stains().Vectors
	img := imagefile.New(side, side)
	for i := range side * side {
		h, d := 0.05, 0.0
		for _, c := range rings {
			x, y := float64(i%side)+0.5-c.x, float64(i/side)+0.5-c.y
			r := math.Hypot(x, y) * mpp
			if r <= 2.6 {
				h = 0.6
			}
			turn := (math.Atan2(y, x) + math.Pi) / (2 * math.Pi)
			if math.Abs(r-4.2) <= 0.6 && turn < c.part {
				d = c.dab
			}
		}
		for k := range 3 {
			img.Pix[3*i+k] = uint8(255*math.Pow(10, -h*v[0][k]-d*v[1][k]) + 0.5)
		}
	}
	return img
}

func measure(t *testing.T, img *imagefile.Image, p *stain.Separator, mpp float64) []membrane.Cell {
	t.Helper()
	d, err := nuclei.Detect(img, p, nuclei.Options{MPP: mpp, Signal: nuclei.HaematoxylinDensity})
	if err != nil {
		t.Fatal(err)
	}
	cells, err := membrane.Measure(img, d, p, mpp, membrane.DefaultThresholds())
	if err != nil {
		t.Fatal(err)
	}
	return cells
}

// Membranes are graded by how much of them is stained, and how densely.
func TestRings(t *testing.T) {
	rings := []ring{
		{20, 20, 0, 0},
		{60, 20, 0.5, 0.9},
		{20, 60, 1, 0.35},
		{60, 60, 1, 0.9},
		{100, 20, 1, 0.1},
		{100, 60, 0.1, 0.9},
	}
	cells := measure(t, paint(t, 120, rings), hdab(t), mpp)
	if len(cells) != len(rings) {
		t.Fatalf("%d cells, want %d: %+v", len(cells), len(rings), cells)
	}
	for _, c := range rings {
		i := slices.IndexFunc(cells, func(m membrane.Cell) bool { return math.Hypot(m.X-c.x, m.Y-c.y) < 3 })
		if i < 0 {
			t.Errorf("no cell at %+v", c)
			continue
		}
		part, dab := c.part, c.dab
		if dab < membrane.DefaultThresholds().Stained {
			part, dab = 0, 0
		}
		if part == 0 {
			dab = 0
		}
		if got := cells[i]; math.Abs(got.Complete-part) > 0.07 || math.Abs(got.Intensity-dab) > 0.06 {
			t.Errorf("%+v: %+v", c, got)
		}
	}
	got := membrane.Grade(cells, membrane.DefaultThresholds())
	if want := (membrane.Grades{Negative: 3, Incomplete: 1, Complete: 1, Intense: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestScores(t *testing.T) {
	for _, c := range []struct {
		g     membrane.Grades
		score int
		share float64
	}{
		{membrane.Grades{Negative: 9, Intense: 1}, 0, 0.1}, // 10 % are not more than 10 %
		{membrane.Grades{Negative: 8, Intense: 2}, 3, 0.2},
		{membrane.Grades{Negative: 8, Complete: 1, Intense: 1}, 2, 0.2},
		{membrane.Grades{Negative: 8, Incomplete: 1, Complete: 1}, 1, 0.1},
		{membrane.Grades{Negative: 5}, 0, 0},
	} {
		score, err := c.g.Score()
		share, err2 := c.g.Share()
		if err := errors.Join(err, err2); err != nil || score != c.score || math.Abs(share-c.share) > 1e-12 {
			t.Errorf("%+v: %d, %g, %v", c.g, score, share, err)
		}
	}
	_, err := membrane.Grades{}.Score()
	_, err2 := membrane.Grades{}.Share()
	if !errors.Is(err, nuclei.ErrNoNuclei) || !errors.Is(err2, nuclei.ErrNoNuclei) {
		t.Errorf("of nothing: %v, %v", err, err2)
	}
}

func TestMeasureRefuses(t *testing.T) {
	img, p := imagefile.New(8, 8), hdab(t)
	d, err := nuclei.Detect(img, p, nuclei.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for says, f := range map[string]func() error{
		"0.1..2": func() error {
			_, err := membrane.Measure(img, d, p, 0, membrane.DefaultThresholds())
			return err
		},
		"must rise": func() error {
			_, err := membrane.Measure(img, d, p, mpp, membrane.Thresholds{Stained: 0.6, Intense: 0.2})
			return err
		},
		"8×8 pixels in an image of 4×4": func() error {
			_, err := membrane.Measure(imagefile.New(4, 4), d, p, mpp, membrane.DefaultThresholds())
			return err
		},
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one that says %q", err, says)
		}
	}
}

// On synthetic tissue of HER2 the share of complete membranes follows the truth from patient to patient: r is 0.95, and
// the share 0.01 to 0.30 where the truth is 0.04 to 0.32.
func TestSyntheticTissue(t *testing.T) {
	c := synth.Default()
	c.Marker, c.Size, c.PatientPairs, c.Seed = synth.HER2, 320, 1, 201
	var measured, truth []float64
	for i := range 9 {
		p, err := synth.Generate(t.Context(), c, i)
		if err != nil {
			t.Fatal(err)
		}
		s, err := membrane.Grade(measure(t, p.IHC, hdab(t), c.MPP), membrane.DefaultThresholds()).Share()
		if err != nil {
			t.Fatal(err)
		}
		measured = append(measured, s)
		truth = append(truth, float64(p.Truth.PositiveNuclei)/float64(len(p.Truth.Nuclei)))
	}
	r := stats.Pearson(measured, truth)
	t.Logf("r = %.3f: %.2f of %.2f", r, measured, truth)
	if !(r > 0.9) {
		t.Errorf("the share of complete membranes correlates with the truth by r = %.3f, want at least 0.9", r)
	}
	for i := range truth {
		if math.Abs(measured[i]-truth[i]) > 0.12 {
			t.Errorf("%.2f where %.2f are positive", measured[i], truth[i])
		}
	}
}
