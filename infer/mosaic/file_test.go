package mosaic_test

import (
	"bytes"
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
)

// writeSlide writes an image as a slide.
func writeSlide(t *testing.T, path string, m *imagefile.Image, mpp float64) {
	t.Helper()
	w, err := tiff.CreateSlide(path, tiff.SlideOptions{Width: m.Width, Height: m.Height, MPP: [2]float64{mpp, mpp}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteTile(0, 0, m.Pix); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// fileOptions translate a slide of 108×92 pixels of 0.25 µm, which the model sees as 54×46.
func fileOptions(t *testing.T) mosaic.FileOptions {
	t.Helper()
	folder := t.TempDir()
	o := mosaic.FileOptions{
		Input: filepath.Join(folder, "he.ome.tiff"), Output: filepath.Join(folder, "er.ome.tiff"),
		Sampling: infer.DefaultSettings(), Settings: small().Settings, File: mosaic.DefaultFileSettings(), Program: "test",
	}
	o.Sampling.StepsInversion, o.Sampling.StepsTranslation = 2, 2
	o.File.Tissue = "all"
	writeSlide(t, o.Input, pattern(108, 92), 0.25)
	return o
}

func readSlide(t *testing.T, path string) (*slide.Slide, *imagefile.Image) {
	t.Helper()
	s, err := slide.Open(path, slide.Options{Library: slide.NoLibrary, AnyMPP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	m, err := s.Whole().Read(t.Context(), image.Rect(0, 0, s.Width, s.Height))
	if err != nil {
		t.Fatal(err)
	}
	return s, m
}

// A stain has the size and resolution of its slide, or those of the model; nothing but it and small images remain; and
// it is not replaced unless that is asked for.
func TestTranslateFile(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	for geometry, want := range map[mosaic.Geometry]struct {
		width, height int
		mpp           float64
	}{mosaic.GeometrySlide: {108, 92, 0.25}, mosaic.GeometryModel: {54, 46, 0.5}} {
		o.File.Geometry, o.Overwrite = geometry, true
		if _, err := mosaic.TranslateFile(t.Context(), p, o); err != nil {
			t.Fatal(err)
		}
		s, _ := readSlide(t, o.Output)
		if s.Width != want.width || s.Height != want.height || s.MPP[0] != want.mpp {
			t.Errorf("%s: %d×%d pixels of %v µm, want %+v", geometry, s.Width, s.Height, s.MPP, want)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(o.Output))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	const want = "er-thumbnail.png er-tissue.geojson er-tissue.png er.ome.tiff he.ome.tiff"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	o.Overwrite = false
	if _, err := mosaic.TranslateFile(t.Context(), p, o); err == nil || !strings.Contains(err.Error(), "--overwrite") {
		t.Errorf("an output that exists: %v", err)
	}
}

// A run that was stopped writes the same file as one that was not.
func TestStoppedFileIsTheSame(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	if _, err := mosaic.TranslateFile(t.Context(), p, o); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(o.Output); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	for _, at := range []int64{20, 60} {
		o.Observe = progress.On(func(e mosaic.Progress) error {
			if e.Calls > at {
				return stop
			}
			return nil
		})
		if _, err := mosaic.TranslateFile(t.Context(), p, o); !errors.Is(err, stop) {
			t.Fatalf("at %d: %v", at, err)
		}
		if _, err := os.Stat(o.Output); err == nil {
			t.Fatal("half an output")
		}
	}
	o.Observe = nil
	if _, err := mosaic.TranslateFile(t.Context(), p, o); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("another file after two stops")
	}
}

// Only the part of a slide is translated that is asked for; the rest stays white.
func TestPartOfASlide(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	o.File.Part, o.File.Compression = "0,0,64,32", mosaic.CompressionDeflate
	plan, err := mosaic.TranslateFile(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Tissue != 32*16 {
		t.Errorf("%d pixels, want %d", plan.Tissue, 32*16)
	}
	_, m := readSlide(t, o.Output)
	const margin = 4 // the filter's, at twice the size
	for y := range m.Height {
		for x := range m.Width {
			if x < 64+margin && y < 32+margin {
				continue
			}
			if pix := m.Pix[(y*m.Width+x)*3:][:3]; pix[0] != 255 || pix[1] != 255 || pix[2] != 255 {
				t.Fatalf("pixel %d, %d is %v, want white", x, y, pix)
			}
		}
	}
	for text, valid := range map[string]bool{
		"": true, "0,0,1,1": true, " 5, 6, 7, 8": true,
		"0,0,1": false, "0,0,0,1": false, "-1,0,2,2": false, "0,0,1,1,1": false, "a,b,c,d": false, "0 0 1 1": false,
	} {
		var part mosaic.Part
		if err := part.UnmarshalText([]byte(text)); (err == nil) != valid {
			t.Errorf("%q: %v", text, err)
		}
	}
	o.File.Part, o.Overwrite = "100,100,100,100", true
	if _, err := mosaic.TranslateFile(t.Context(), p, o); err == nil {
		t.Error("a part beyond the slide: no error")
	}
}

// An image that a pipeline has no memory for is translated in windows.
func TestImage(t *testing.T) {
	p := newPipeline(t)
	r := small()
	want, _ := translate(t, p, r)
	got, err := mosaic.Image(t.Context(), p, pattern(54, 46), r.Sampling, r.Settings)
	if err != nil {
		t.Fatal(err)
	}
	if got.Width != 54 || got.Height != 46 || !bytes.Equal(got.Pix, want) {
		t.Error("another image than by Translate")
	}
}
