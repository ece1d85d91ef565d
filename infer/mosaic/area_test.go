package mosaic_test

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/infer/mosaic"
)

// What is translated is known before, with outlines in the slide's own pixels that don't reach beyond it.
func TestAreaOf(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	for part, want := range map[mosaic.Part][]tissue.Point{
		"":            {{108, 0}, {108, 92}, {0, 92}, {0, 0}},
		"0,0,64,32":   {{64, 0}, {64, 32}, {0, 32}, {0, 0}},
		"33,1,30,30":  {{64, 0}, {64, 32}, {32, 32}, {32, 0}},
		"100,90,2,2":  {{108, 64}, {108, 92}, {96, 92}, {96, 64}},
		"63,31,30,30": {{96, 0}, {96, 64}, {32, 64}, {32, 0}},
	} {
		o.File.Part = part
		a, err := mosaic.AreaOf(t.Context(), p, o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]tissue.Polygon{{want}}, a.Polygons()); diff != "" {
			t.Errorf("%q: %s", part, diff)
		}
		if a.Width != 54 || a.Height != 46 || a.File != image.Rect(0, 0, 108, 92) || a.MPP != 0.5 ||
			a.Scale != [2]float64{2, 2} {
			t.Errorf("%+v", a)
		}
	}
}

// A stain says what it was made of, not where that lay; and any name is a slide's if its caller says so.
func TestFoldersDontMatter(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	var first []byte
	for _, name := range []string{"a", "b"} {
		folder := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		o.File.Areas = filepath.Join(folder, "areas.geojson")
		text, err := tissue.GeoJSON([]tissue.Area{{Polygon: tissue.Polygon{{{0, 0}, {60, 0}, {60, 40}, {0, 40}}}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(o.File.Areas, text, 0o600); err != nil {
			t.Fatal(err)
		}
		there := o.Input
		o.Input, o.Output = filepath.Join(folder, "he"), filepath.Join(folder, "er.ome.tiff")
		if err := os.Rename(there, o.Input); err != nil {
			t.Fatal(err)
		}
		o.Slide = func() (*slide.Slide, error) { return slide.Open(o.Input, slide.Options{Library: slide.NoLibrary}) }
		if _, err := mosaic.TranslateFile(t.Context(), p, o); err != nil {
			t.Fatal(err)
		}
		stain, err := os.ReadFile(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = stain
		} else if !bytes.Equal(first, stain) {
			t.Error("another folder makes another stain")
		}
	}
}

// Tissue that was found before isn't looked for again, unless it is that of a slide of another size.
func TestFound(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	found, err := mosaic.TissueOf(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range found.In {
		found.In[i] = i/found.Width*found.SlideHeight/found.Height < 64 // its upper part
	}
	o.Found, o.File.Tissue = found, "not looked at"
	plan, err := mosaic.PlanFile(t.Context(), p, o)
	if err != nil || plan.Tissue != 54*32 {
		t.Errorf("%d pixels, %v; want %d", plan.Tissue, err, 54*32)
	}
	found.SlideWidth++
	if _, err := mosaic.AreaOf(t.Context(), p, o); err == nil {
		t.Error("the tissue of another slide is taken")
	}
}
