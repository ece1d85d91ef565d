package demo_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/internal/synth"
)

func openSlide(t *testing.T, path string) *slide.Slide {
	t.Helper()
	s, err := slide.Open(path, slide.Options{Library: slide.NoLibrary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A slide is made once, and again when it is another version's or damaged.
func remade(t *testing.T, folder string) {
	t.Helper()
	he, settings := filepath.Join(folder, synth.SlideHE), filepath.Join(folder, synth.SlideSettings)
	first, err := os.ReadFile(he)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(he)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Slide(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	if now, err := os.Stat(he); err != nil || !now.ModTime().Equal(before.ModTime()) {
		t.Errorf("made again, %v", err)
	}
	if err := errors.Join(os.WriteFile(settings, []byte("{}"), 0o644), os.Remove(he)); err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Slide(t.Context(), folder); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(he); err != nil || !bytes.Equal(got, first) {
		t.Errorf("another slide, %v", err)
	}
}

// A slide has glass around its tissue. The virtual one has its size and resolution, and stains tissue alone; it is made
// although an interrupted demonstration with another preset began it.
func TestRunSlide(t *testing.T) {
	folder := t.TempDir()
	begun := mosaic.PartsFolder(filepath.Join(folder, "slide", "virtual-er.ome.tiff"))
	if err := os.MkdirAll(begun, 0o755); err != nil {
		t.Fatal(err)
	}
	other := []byte(`{"program":"another"}`)
	if err := os.WriteFile(filepath.Join(begun, "plan.json"), other, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := demo.RunSlide(t.Context(), folder, demo.Options{Device: networktest.Open(t, "auto"), Steps: 1})
	if err != nil {
		t.Fatal(err)
	}
	he, virtual := openSlide(t, r.HE), openSlide(t, r.Virtual)
	if he.Bounds() != virtual.Bounds() || he.MPP != virtual.MPP {
		t.Errorf("%v of %v µm, and the H&E %v of %v", virtual.Bounds(), virtual.MPP, he.Bounds(), he.MPP)
	}
	found, err := tissue.Choose(t.Context(), he, tissue.Auto)
	if err != nil {
		t.Fatal(err)
	}
	if share := found.Share(); share < 0.2 || share > 0.5 {
		t.Errorf("%.2f of the slide is tissue", share)
	}
	for i, in := range found.In {
		edge := i%found.Width == 0 || (i+1)%found.Width == 0
		if in && edge {
			t.Fatalf("tissue at the edge, %d of %d columns", i%found.Width, found.Width)
		}
	}
	m, err := virtual.Whole().Read(t.Context(), virtual.Bounds())
	if err != nil {
		t.Fatal(err)
	}
	coloured := 0
	for at := 0; at < len(m.Pix); at += 3 {
		if m.Pix[at] < 240 {
			coloured += 3
		}
	}
	if share := float64(coloured) / float64(len(m.Pix)); share < 0.1 || share > 0.5 {
		t.Errorf("%.2f of the slide is stained", share)
	}
	for _, path := range []string{r.True, r.Islands, r.Nuclei, r.Thumbnail, r.Tissue} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	remade(t, filepath.Join(folder, "slide"))
}
