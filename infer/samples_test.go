package infer_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/internal/stain"
	"github.com/histdist/histdist/internal/walk"
)

// Of several samples the output is the mean of the stains by their seeds, with their standard deviation and areas.
func TestSamples(t *testing.T) {
	p := newPipeline(t, networktest.Open(t, "auto"))
	dir := t.TempDir()
	in := filepath.Join(dir, "in", "a.png")
	writeImage(t, in, pattern(16, 16, 3))
	read := func(path string) *imagefile.Image {
		m, err := imagefile.Read(path, imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	o := infer.FileOptions{Settings: quick(), Program: "histdist test"}
	translate := func(output string) infer.Summary {
		s, err := p.TranslateFiles(t.Context(), &infer.Jobs{List: []infer.Job{{Input: in, Output: output}}}, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const samples = 3
	separator, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		t.Fatal(err)
	}
	table, err := separator.Table(stain.DAB)
	if err != nil {
		t.Fatal(err)
	}
	var singles []*imagefile.Image
	var areas []float64
	for seed := range samples {
		path := filepath.Join(dir, "single"+string(rune('0'+seed))+".png")
		o.Settings.Seed = int64(5 + seed)
		translate(path)
		singles = append(singles, read(path))
		intensity, err := stain.Measure(read(path), separator, stain.DAB, stain.PositiveDAB)
		if err != nil {
			t.Fatal(err)
		}
		areas = append(areas, intensity.PositiveFraction)
	}
	out := filepath.Join(dir, "out", "a.png")
	o.Settings.Seed, o.Samples = 5, samples
	s := translate(out)
	if s.Done != 1 || len(s.Areas) != 1 {
		t.Fatalf("%+v", s)
	}
	mean, deviation := read(out), read(infer.DeviationName(out))
	differ := false
	for i := range mean.Pix {
		sum := 0.0
		for _, m := range singles {
			sum += float64(m.Pix[i])
		}
		if got := float64(mean.Pix[i]); math.Abs(got-sum/samples) > 0.5 {
			t.Fatalf("value %d is %g, want %g", i, got, sum/samples)
		}
		var densities [samples]float64
		for k, m := range singles {
			q := m.Pix[i/3*3:]
			densities[k] = table.At(q[0], q[1], q[2])
		}
		average, squares := (densities[0]+densities[1]+densities[2])/samples, 0.0
		for _, d := range densities {
			squares += (d - average) * (d - average)
		}
		want := 255 * min(1, math.Sqrt(squares/(samples-1)))
		if got := float64(deviation.Pix[i]); math.Abs(got-want) > 0.51 {
			t.Fatalf("deviation %d is %g, want %g", i, got, want)
		}
		differ = differ || want > 1
	}
	if !differ {
		t.Error("the samples don't differ")
	}
	a := s.Areas[0]
	for k, want := range areas {
		if math.Abs(a.Samples[k]-want) > 1e-12 {
			t.Errorf("area of sample %d is %g, want %g", k, a.Samples[k], want)
		}
	}
	// Student's t of 2 degrees of freedom at 0.95 is 2.91999 (R: qt(0.95, 2)).
	average := (areas[0] + areas[1] + areas[2]) / samples
	squares := 0.0
	for _, x := range areas {
		squares += (x - average) * (x - average)
	}
	reach := 2.919986 * math.Sqrt(squares/2*(1+1.0/3))
	if low, high := max(0, average-reach), min(1, average+reach); math.Abs(a.Mean-average) > 1e-12 ||
		math.Abs(a.Low-low) > 1e-6 || math.Abs(a.High-high) > 1e-6 {
		t.Errorf("area %+v, want %g, %g to %g", a, average, low, high)
	}

	// With a model's errors there is an interval of the truth, too.
	for _, e := range []float64{0.3, 0.05, 0.1, 0.02, 0.04, 0.01, 0.2, 0.03, 0.06} { // of 9 images all are enclosed
		o.Calibration = append(o.Calibration, e)
	}
	calibrated := translate(filepath.Join(dir, "calibrated.png")).Areas[0]
	if b := calibrated.Truth; b == nil || b.Low > a.Mean || b.High < a.Mean ||
		b.Low > 0 && math.Abs(infer.AreaError(a.Mean, b.Low)-0.3) > 1e-9 ||
		b.High < 1 && math.Abs(infer.AreaError(a.Mean, b.High)-0.3) > 1e-9 {
		t.Errorf("the true area is within %+v of %g", b, a.Mean)
	}
	if _, err := o.Calibration[:8].Reach(); err == nil {
		t.Error("9 of 10 by 8 images")
	}
	o.Calibration = nil

	// A current output keeps its areas; a deviation that is missing is made again; another's file is kept.
	again := translate(out)
	if again.Skipped != 1 || len(again.Areas) != 1 || again.Areas[0].Mean != a.Mean {
		t.Errorf("again: %+v", again)
	}
	if text, err := json.Marshal(again); err != nil || !strings.Contains(string(text), `"positive_areas":[{"input":`) {
		t.Errorf("%s, %v", text, err)
	}
	if err := os.Remove(infer.DeviationName(out)); err != nil {
		t.Fatal(err)
	}
	if s := translate(out); s.Done != 1 || s.Remade["the standard deviation was missing"] != 1 {
		t.Errorf("without the deviation: %+v", s)
	}
	o.Samples = 1
	if s := translate(out); len(s.Failed) != 1 || !strings.Contains(s.Failed[0].Error, "samples 3, now unset") {
		t.Errorf("a single stain in its place: %+v", s)
	}
	o.Samples = samples
	other := filepath.Join(dir, "other", "a.png")
	writeImage(t, infer.DeviationName(other), pattern(8, 8, 1))
	if s := translate(other); len(s.Failed) != 1 || !strings.Contains(s.Failed[0].Error, "not made by this program") {
		t.Errorf("onto another's file: %+v", s)
	}

	// Deviations are no images of a set.
	found, err := walk.Images(t.Context(), filepath.Dir(out), walk.Options{})
	if err != nil || len(found.Files) != 1 || len(found.Passed) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
}
