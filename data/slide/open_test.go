package slide_test

import (
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/internal/openslide"
)

const (
	aperio = "Aperio Image Library v1\n90x60 [0,0 90x60] JPEG/RGB Q=30|AppMag = 20|MPP = 0.4990|Date = 12/29/09"
	ome    = `<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
<Instrument ID="Instrument:0"><Objective ID="Objective:0" NominalMagnification="40"/></Instrument>
<Image Name="label"><Pixels SizeX="10" SizeY="10" PhysicalSizeX="9" PhysicalSizeY="9"/></Image>
<Image Name="slide"><ObjectiveSettings ID="Objective:0"/>
<Pixels SizeX="90" SizeY="60" PhysicalSizeX="253" PhysicalSizeXUnit="nm" PhysicalSizeY="0.253"/></Image></OME>`
)

// write makes a TIFF file of one page with a description.
func write(t *testing.T, name, description string) string {
	t.Helper()
	img := newMemory(90, 60, 1).levels[0]
	data, err := tiff.EncodeRGB(img.Pix, 90, 60, []tiff.Field{tiff.ASCII(tiff.TagImageDescription, description)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMetadataOfTIFF(t *testing.T) {
	for _, c := range []struct {
		description, vendor string
		mpp, magnification  float64
		property            slide.Property
	}{
		{aperio, "aperio", 0.499, 20, slide.Property{Name: "aperio.Date", Value: "12/29/09"}},
		{ome, "ome-tiff", 0.253, 40, slide.Property{Name: "ome.Name", Value: "slide"}},
		{"a note", "tiff", 0, 0, slide.Property{Name: "tiff.ImageDescription", Value: "a note"}},
	} {
		s, err := slide.Open(write(t, "x.tif", c.description), slide.Options{Library: slide.NoLibrary, AnyMPP: true})
		if err != nil {
			t.Fatal(err)
		}
		info := s.Info()
		if info.Vendor != c.vendor || info.MPP != [2]float64{c.mpp, c.mpp} || info.Magnification != c.magnification {
			t.Errorf("%.20s: %s, %v µm, %g×", c.description, info.Vendor, info.MPP, info.Magnification)
		}
		found := false
		for _, p := range info.Properties {
			found = found || p == c.property
		}
		if !found {
			t.Errorf("%.20s: properties %v lack %v", c.description, info.Properties, c.property)
		}
		got, err := s.Whole().Read(t.Context(), image.Rect(5, 6, 50, 40))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(crop(newMemory(90, 60, 1).levels[0], image.Rect(5, 6, 50, 40)), got); diff != "" {
			t.Errorf("%.20s (-want +got):\n%s", c.description, diff)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Pyramids in pages and in sub-images are read; their levels are those of the file.
func TestPyramids(t *testing.T) {
	for _, name := range []string{"rgb--pyramid-pages.tif", "rgb--pyramid-subifds.tif"} {
		path := filepath.Join("..", "tiff", "testdata", name)
		s, err := slide.Open(path, slide.Options{Library: slide.NoLibrary, MPP: 0.25})
		if err != nil {
			t.Fatal(err)
		}
		levels := s.Info().Levels
		if len(levels) < 2 || levels[0].Width != s.Width || levels[1].Downsample[0] != 2 {
			t.Errorf("%s: %v", name, levels)
		}
		whole, err := imagefile.Read(path, imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Whole().Read(t.Context(), s.Bounds())
		if err != nil || difference(got, whole) != 0 {
			t.Errorf("%s: %v, or the pixels are not those that imagefile reads", name, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	testdata := func(name string) string { return filepath.Join("..", "tiff", "testdata", name) }
	intact, err := os.ReadFile(write(t, "x.tif", aperio))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(openslide.Variable, openslide.Off)
	for _, c := range []struct {
		name, path string
		is         error // nil: any
		want       string
	}{
		{"not there", filepath.Join(t.TempDir(), "x.svs"), os.ErrNotExist, "x.svs"},
		{"a folder", t.TempDir(), nil, "a folder"},
		{"empty", file("x.svs", ""), nil, "empty"},
		{"no slide", file("x.svs", "text"), slide.ErrFormat, "not a slide"},
		{"OpenSlide's format", file("x.mrxs", "text"), openslide.ErrMissing, "MIRAX"},
		{"OpenSlide's TIFF", write(t, "x.tiff", `<DataObject ObjectType="DPUfsImport">`), openslide.ErrMissing, "Philips"},
		{"OpenSlide's compression", testdata("jpeg2000-aperio.refused.tif"), openslide.ErrMissing, "JPEG 2000"},
		{"cut off", file("x.tif", string(intact[:len(intact)/2])), nil, "tiff: "},
		{"a label", write(t, "x.svs", "Aperio Image Library v1\nlabel 90x60"), nil, "label"},
		{"unknown pixels", write(t, "x.tif", ""), slide.ErrMPP, "--mpp"},
		{"damaged OME-XML", write(t, "x.tif", ome[:200]), nil, "OME-XML"},
		{"a huge header", testdata("huge.refused.tif"), nil, "tiff: "},
	} {
		_, err := slide.Open(c.path, slide.Options{})
		switch {
		case err == nil:
			t.Errorf("%s: no error", c.name)
		case c.is != nil && !errors.Is(err, c.is):
			t.Errorf("%s: %v is not %v", c.name, err, c.is)
		case !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path):
			t.Errorf("%s: %v, want %q and the path", c.name, err, c.want)
		}
	}
}

// library returns OpenSlide, or skips the test.
func library(t *testing.T) *openslide.Library {
	t.Helper()
	l, err := openslide.Load()
	if err != nil {
		t.Skip(err)
	}
	return l
}

// The real slides of the folder that HISTDIST_SLIDES names have the same pixels with both readers.
func TestReadersAgree(t *testing.T) {
	library(t)
	paths, err := filepath.Glob(filepath.Join(os.Getenv("HISTDIST_SLIDES"), "*.svs"))
	if err != nil || os.Getenv("HISTDIST_SLIDES") == "" || len(paths) == 0 {
		t.Skip("HISTDIST_SLIDES names no folder of slides")
	}
	for _, path := range paths {
		var slides [2]*slide.Slide
		for i, l := range []slide.Library{slide.AnyLibrary, slide.NoLibrary} {
			if slides[i], err = slide.Open(path, slide.Options{Library: l}); err != nil {
				t.Fatal(err)
			}
			defer slides[i].Close()
		}
		a, b := slides[0], slides[1]
		if !strings.HasPrefix(a.Info().Reader, "OpenSlide ") || a.Info().Vendor != b.Info().Vendor {
			t.Errorf("%s: read by %s as %s and by %s as %s", path,
				a.Info().Reader, a.Info().Vendor, b.Info().Reader, b.Info().Vendor)
		}
		if diff := cmp.Diff(a.Info().Levels, b.Info().Levels); diff != "" || a.MPP != b.MPP {
			t.Errorf("%s: levels, and %v and %v µm (-OpenSlide +histdist):\n%s", path, a.MPP, b.MPP, diff)
		}
		r := image.Rect(0, 0, 900, 700).Add(image.Pt(a.Width/2-100, a.Height/2-300))
		var parts [2]*imagefile.Image
		for i, s := range slides {
			if parts[i], err = s.ReadRegion(t.Context(), r, 450, 350); err != nil {
				t.Fatal(err)
			}
		}
		if d := difference(parts[0], parts[1]); d > 0 {
			t.Errorf("%s: pixels differ by up to %d", path, d)
		}
		for _, name := range b.Info().Associated {
			x, err := a.Associated(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			y, err := b.Associated(t.Context(), name)
			if err != nil || difference(x, y) > 0 {
				t.Errorf("%s: %s: %v, or pixels differ", path, name, err)
			}
		}
	}
}

// A file of a format that OpenSlide knows is refused with its reason if it is damaged.
func TestOpenSlideRefuses(t *testing.T) {
	library(t)
	slides := os.Getenv("HISTDIST_SLIDES")
	data, err := os.ReadFile(filepath.Join(slides, "cmu_small_region.svs"))
	if slides == "" || err != nil {
		t.Skip("HISTDIST_SLIDES names no folder with cmu_small_region.svs")
	}
	// The tiles' bytes become zeros; the directories stay.
	for i := 1000; i < 900_000; i++ {
		data[i] = 0
	}
	path := filepath.Join(t.TempDir(), "x.svs")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := slide.Open(path, slide.Options{})
	if err == nil {
		defer s.Close()
		_, err = s.ReadRegion(t.Context(), s.Bounds(), 100, 100)
	}
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, want an error that names the file", err)
	}
}

// A slide is told from other images by its content.
func TestIs(t *testing.T) {
	t.Setenv(openslide.Variable, openslide.Off)
	testdata := func(name string) string { return filepath.Join("..", "tiff", "testdata", name) }
	for path, want := range map[string]bool{
		write(t, "x.tif", aperio):                                  true,
		write(t, "x.tif", ome):                                     true,
		write(t, "x.tif", `<DataObject ObjectType="DPUfsImport">`): true,
		write(t, "x.tif", "a note"):                                false,
		testdata("rgb--pyramid-pages.tif"):                         true,
		testdata("rgb--pyramid-subifds.tif"):                       true,
		testdata("rgb--raw-strips.tif"):                            false,
		testdata("rgb--pages.tif"):                                 false,
		testdata("left-out--sparse-tiles.tif"):                     true,
		"x.svs":                                                    true,
		filepath.Join("..", "imagefile", "testdata", "bits.png"):   false,
	} {
		if got, err := slide.Is(path); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", path, got, err, want)
		}
	}
	if _, err := slide.Is(filepath.Join(t.TempDir(), "none.tif")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
