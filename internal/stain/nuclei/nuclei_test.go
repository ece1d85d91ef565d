package nuclei_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/stain/nuclei"
	"pgregory.net/rapid"
)

// disc is a nucleus as it is painted: place and radius in pixels, concentrations of its dyes.
type disc struct{ x, y, radius, haematoxylin, dab float64 }

func hdab(t testing.TB) *stain.Separator {
	t.Helper()
	p, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// paint draws discs on pale tissue; where discs overlap the later one is seen.
func paint(t testing.TB, width, height int, discs []disc) *imagefile.Image {
	t.Helper()
	v := hdab(t).Stains().Vectors
	img := imagefile.New(width, height)
	for i := range width * height {
		h, d := 0.05, 0.0
		for _, n := range discs {
			if math.Hypot(float64(i%width)+0.5-n.x, float64(i/width)+0.5-n.y) <= n.radius {
				h, d = n.haematoxylin, n.dab
			}
		}
		for c := range 3 {
			img.Pix[3*i+c] = uint8(255*math.Pow(10, -h*v[0][c]-d*v[1][c]) + 0.5)
		}
	}
	return img
}

// TestDetect finds discs, also those that touch or reach over the border, with their area and dyes.
func TestDetect(t *testing.T) {
	discs := []disc{
		{30, 28, 7, 0.5, 0},
		{71.5, 30.25, 8, 0.4, 0.9},
		{30, 80, 7, 0.5, 0},
		{42.5, 80, 7, 0.3, 0.3}, // they overlap by 1.5 pixels
		{119, 60, 8, 0.6, 0.5},  // cut in half
	}
	img := paint(t, 120, 110, discs)
	d, err := nuclei.Detect(img, hdab(t), nuclei.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Nuclei) != len(discs) || !d.HasDAB {
		t.Fatalf("%d nuclei, want %d: %+v", len(d.Nuclei), len(discs), d.Nuclei)
	}
	checkLabels(t, d)
	var places []point
	for _, n := range discs {
		places = append(places, point{n.x, n.y})
	}
	pairs := match(d, places, 4.5)
	if len(pairs) != len(discs) {
		t.Fatalf("pairs %v, want each disc", pairs)
	}
	for _, p := range pairs {
		got, want := d.Nuclei[p[0]], discs[p[1]]
		var whole, x, y float64 // of what is inside the image
		for i := range d.Labels {
			u, v := float64(i%d.Width)+0.5, float64(i/d.Width)+0.5
			if math.Hypot(u-want.x, v-want.y) <= want.radius {
				whole, x, y = whole+1, x+u, y+v
			}
		}
		if away := math.Hypot(got.X-x/whole, got.Y-y/whole); away > 1 {
			t.Errorf("%+v lies %.2f pixels off %+v", got, away, want)
		}
		if part := float64(got.Pixels) / whole; part < 0.8 || part > 1.25 {
			t.Errorf("%+v has %d pixels, %.2f of the disc's", want, got.Pixels, part)
		}
		if got.Area != float64(got.Pixels)*0.25 {
			t.Errorf("%d pixels of 0.5 µm have %v µm²", got.Pixels, got.Area)
		}
		// The edge that is painted pale, and 8 bits.
		if math.Abs(got.DAB-want.dab) > 0.1+0.1*want.dab || math.Abs(got.Haematoxylin-want.haematoxylin) > 0.12 {
			t.Errorf("%+v has %.3f of haematoxylin and %.3f of DAB", want, got.Haematoxylin, got.DAB)
		}
	}
}

// checkLabels makes sure that the mask and the list of nuclei say the same.
func checkLabels(t interface{ Errorf(string, ...any) }, d *nuclei.Detection) {
	pixels := make([]int, len(d.Nuclei)+1)
	x, y := make([]float64, len(pixels)), make([]float64, len(pixels))
	seen := int32(0)
	for i, k := range d.Labels {
		if k < 0 || int(k) > len(d.Nuclei) {
			t.Errorf("label %d of %d nuclei", k, len(d.Nuclei))
			return
		}
		if k > seen+1 {
			t.Errorf("label %d comes before %d", k, seen+1)
		}
		seen = max(seen, k)
		pixels[k]++
		x[k] += float64(i%d.Width) + 0.5
		y[k] += float64(i/d.Width) + 0.5
	}
	for k, n := range d.Nuclei {
		m := float64(pixels[k+1])
		if pixels[k+1] != n.Pixels || math.Abs(x[k+1]/m-n.X) > 1e-9 || math.Abs(y[k+1]/m-n.Y) > 1e-9 {
			t.Errorf("nucleus %d is %+v, its label has %d pixels around (%v, %v)", k, n, pixels[k+1], x[k+1]/m, y[k+1]/m)
		}
	}
}

// TestDetectAnything detects in noise of any size and scale: labels agree with the list, areas with the limits, and a
// second run with the first.
func TestDetectAnything(t *testing.T) {
	p := hdab(t)
	rapid.Check(t, func(t *rapid.T) {
		img := imagefile.New(rapid.IntRange(1, 70).Draw(t, "width"), rapid.IntRange(1, 70).Draw(t, "height"))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		coarse := rapid.IntRange(1, 12).Draw(t, "grain")
		for i := range img.Pix {
			cell := (i/3%img.Width)/coarse + (i/3/img.Width)/coarse*97
			img.Pix[i] = uint8(cell*cell*31 + r.IntN(20))
		}
		o := nuclei.Options{
			MPP: rapid.Float64Range(0.1, 2).Draw(t, "mpp"), MinArea: 5, MaxArea: 200,
			Signal: rapid.SampledFrom([]nuclei.Signal{"", nuclei.RedDensity, nuclei.HaematoxylinDensity}).Draw(t, "signal"),
		}
		d, err := nuclei.Detect(img, p, o)
		if err != nil {
			t.Fatal(err)
		}
		checkLabels(t, d)
		for _, n := range d.Nuclei {
			if n.Area < 5 || n.Area > 200 {
				t.Errorf("area %v, beyond the limits", n.Area)
			}
		}
		again, err := nuclei.Detect(img, p, o)
		if diff := cmp.Diff(d, again); diff != "" || err != nil {
			t.Errorf("a second run differs (%v):\n%s", err, diff)
		}
	})
}

func TestDetectRefuses(t *testing.T) {
	img := imagefile.New(8, 8)
	for name, c := range map[string]struct {
		img  *imagefile.Image
		o    nuclei.Options
		says string
	}{
		"mpp":      {img, nuclei.Options{MPP: 0.01}, "0.1..2"},
		"NaN":      {img, nuclei.Options{MPP: math.NaN()}, "0.1..2"},
		"contrast": {img, nuclei.Options{Contrast: -1}, "contrast"},
		"areas":    {img, nuclei.Options{MinArea: 50, MaxArea: 20}, "above the largest"},
		"signal":   {img, nuclei.Options{Signal: "blue"}, `"red" or "haematoxylin"`},
		"nil":      {nil, nuclei.Options{}, "nil"},
		"cut off":  {&imagefile.Image{Width: 4, Height: 4, Pix: make([]uint8, 16)}, nuclei.Options{}, "16 values"},
	} {
		if _, err := nuclei.Detect(c.img, hdab(t), c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
}

// TestScores has QuPath's own example (ObservableMeasurementTableData's test: 25 nuclei of each grade), and the
// borders.
func TestScores(t *testing.T) {
	for _, c := range []struct {
		name                          string
		grades                        nuclei.Grades
		ki67, h                       float64
		proportion, intensity, allred int
	}{
		{"QuPath's test", nuclei.Grades{25, 25, 25, 25}, 75, 150, 5, 2, 7},
		{"negative", nuclei.Grades{Negative: 40}, 0, 0, 0, 0, 0},
		{"all strong", nuclei.Grades{Strong: 9}, 100, 300, 5, 3, 8},
		{"below 1 %", nuclei.Grades{Negative: 200, Weak: 1}, 100.0 / 201, 100.0 / 201, 1, 1, 2},
		{"1 %", nuclei.Grades{Negative: 99, Weak: 1}, 1, 1, 2, 1, 3},
		{"10 %", nuclei.Grades{Negative: 90, Moderate: 10}, 10, 20, 3, 2, 5},
		{"a third", nuclei.Grades{Negative: 2, Strong: 1}, 100.0 / 3, 100, 4, 3, 7},
		{"two thirds", nuclei.Grades{Negative: 1, Weak: 2}, 200.0 / 3, 200.0 / 3, 5, 1, 6},
		{"mean grade 5/3", nuclei.Grades{Negative: 7, Weak: 1, Moderate: 2}, 30, 50, 3, 1, 4},
		{"mean grade 7/3", nuclei.Grades{Negative: 7, Moderate: 2, Strong: 1}, 30, 70, 3, 2, 5},
	} {
		got, err := c.grades.Scores()
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got.Ki67Index-c.ki67) > 1e-12 || math.Abs(got.HScore-c.h) > 1e-12 {
			t.Errorf("%s: Ki-67 index %v, H-score %v; want %v, %v", c.name, got.Ki67Index, got.HScore, c.ki67, c.h)
		}
		if got.AllredProportion != c.proportion || got.AllredIntensity != c.intensity || got.Allred != c.allred {
			t.Errorf("%s: Allred %d + %d = %d, want %d + %d = %d", c.name,
				got.AllredProportion, got.AllredIntensity, got.Allred, c.proportion, c.intensity, c.allred)
		}
	}
	if _, err := (nuclei.Grades{}).Scores(); !errors.Is(err, nuclei.ErrNoNuclei) {
		t.Errorf("scores of nothing: error %v, want ErrNoNuclei", err)
	}
	if _, err := (nuclei.Grades{Weak: -1, Strong: 2}).Scores(); err == nil || errors.Is(err, nuclei.ErrNoNuclei) {
		t.Errorf("a negative count: error %v", err)
	}
}

func TestGrade(t *testing.T) {
	d := &nuclei.Detection{HasDAB: true}
	for _, v := range []float64{-0.1, 0.19999, 0.2, 0.39, 0.4, 0.59, 0.6, 2} {
		d.Nuclei = append(d.Nuclei, nuclei.Nucleus{DAB: v})
	}
	got, err := d.Grade(nuclei.QuPathThresholds())
	if want := (nuclei.Grades{2, 2, 2, 2}); err != nil || got != want || got.Positive() != 6 || got.Total() != 8 {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	for _, bad := range []nuclei.Thresholds{{0.4, 0.2, 0.6}, {0.2, 0.4, math.NaN()}} {
		if _, err := d.Grade(bad); err == nil || !strings.Contains(err.Error(), "must rise") {
			t.Errorf("thresholds %v: error %v", bad, err)
		}
	}
	he, err := stain.New(stain.QuPathHE())
	if err != nil {
		t.Fatal(err)
	}
	onHE, err := nuclei.Detect(imagefile.New(9, 9), he, nuclei.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := onHE.Grade(nuclei.QuPathThresholds()); err == nil || !strings.Contains(err.Error(), "DAB") {
		t.Errorf("nuclei of H&E are graded: error %v", err)
	}
}

func TestDice(t *testing.T) {
	mask := func(w int, labels ...int32) *nuclei.Detection {
		return &nuclei.Detection{Width: w, Height: len(labels) / w, Labels: labels}
	}
	for _, c := range []struct {
		name string
		a, b *nuclei.Detection
		want float64
	}{
		{"equal", mask(2, 0, 1, 2, 0), mask(2, 0, 7, 7, 0), 1},
		{"half", mask(2, 1, 1, 0, 0), mask(2, 0, 1, 1, 0), 0.5},
		{"inside", mask(2, 1, 1, 1, 0), mask(2, 1, 0, 0, 0), 0.5},
		{"apart", mask(2, 1, 0, 0, 0), mask(2, 0, 0, 0, 1), 0},
		{"one empty", mask(2, 0, 0, 0, 0), mask(2, 0, 0, 0, 1), 0},
		{"both empty", mask(2, 0, 0, 0, 0), mask(2, 0, 0, 0, 0), 1},
	} {
		if got, err := nuclei.Dice(c.a, c.b); err != nil || got != c.want {
			t.Errorf("%s: %v (%v), want %v", c.name, got, err, c.want)
		}
	}
	if _, err := nuclei.Dice(mask(2, 0, 0, 0, 0), mask(4, 0, 0, 0, 0)); err == nil ||
		!strings.Contains(err.Error(), "2×2 and 4×1") {
		t.Errorf("masks of two shapes: error %v", err)
	}
}
