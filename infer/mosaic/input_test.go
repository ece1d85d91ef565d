package mosaic_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/infer/mosaic"
)

// An image that is not kept in memory is translated as one that is, and what it was unpacked into doesn't remain.
func TestLargeImages(t *testing.T) {
	p := newPipeline(t)
	m := pattern(70, 50)
	for _, ending := range []string{".png", ".jpg", ".tif"} {
		o := fileOptions(t)
		o.Input = filepath.Join(filepath.Dir(o.Input), "he"+ending)
		o.File.Compression = mosaic.CompressionDeflate
		if err := imagefile.Write(o.Input, m, imagefile.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		var images [2]*imagefile.Image
		for i, pixels := range []int{0, 1000} {
			o.InMemory, o.Overwrite = pixels, true
			plan, err := mosaic.TranslateFile(t.Context(), p, o)
			if err != nil {
				t.Fatal(err)
			}
			s, stain := readSlide(t, o.Output)
			if images[i] = stain; s.Width != 70 || s.Height != 50 || plan.Width != 70 || plan.Tissue != 70*50 {
				t.Errorf("%s: %d×%d pixels, %+v", ending, s.Width, s.Height, plan)
			}
		}
		if !bytes.Equal(images[0].Pix, images[1].Pix) {
			t.Errorf("%s: another stain than of an image in memory", ending)
		}
		if _, err := os.Stat(mosaic.PartsFolder(o.Output)); err == nil {
			t.Errorf("%s: parts remain", ending)
		}
	}
}

// An image whose micrometres per pixel are given is resized to the model's, as slides are, unless they are as good as
// the same.
func TestImageWithMPP(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	o.Input = filepath.Join(filepath.Dir(o.Input), "he.png")
	if err := imagefile.Write(o.Input, pattern(108, 92), imagefile.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for mpp, want := range map[float64][2]int{0: {108, 92}, 0.25: {54, 46}, 0.499: {108, 92}, 0.506: {109, 93}} {
		o.File.MPP = mpp
		plan, err := mosaic.PlanFile(t.Context(), p, o)
		if err != nil || plan.Width != want[0] || plan.Height != want[1] || (plan.Area > 0) != (mpp > 0) {
			t.Errorf("%g µm: %+v, %v", mpp, plan, err)
		}
	}
}

// A slide in TIFF is one whatever its name: it has tissue, and micrometres are asked for.
func TestSlidesByContent(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	slide := o.Input
	o.Input = filepath.Join(filepath.Dir(slide), "he.tif")
	if err := os.Rename(slide, o.Input); err != nil {
		t.Fatal(err)
	}
	if plan, err := mosaic.PlanFile(t.Context(), p, o); err != nil || plan.Width != 54 {
		t.Errorf("%+v, %v", plan, err)
	}
	w, err := tiff.CreateSlide(o.Input, tiff.SlideOptions{Width: 108, Height: 92})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteTile(0, 0, pattern(108, 92).Pix); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := mosaic.PlanFile(t.Context(), p, o); err == nil || !strings.Contains(err.Error(), "--mpp") {
		t.Errorf("unknown micrometres: %v", err)
	}
}

// Deflate keeps what the model made; JPEG is of quality 90 unless another is asked for.
func TestCompression(t *testing.T) {
	p := newPipeline(t)
	o := fileOptions(t)
	o.File.Geometry, o.Overwrite = mosaic.GeometryModel, true
	read := func(change func(*mosaic.FileOptions)) []uint8 {
		t.Helper()
		next := o
		change(&next)
		if _, err := mosaic.TranslateFile(t.Context(), p, next); err != nil {
			t.Fatal(err)
		}
		_, m := readSlide(t, next.Output)
		return m.Pix
	}
	lossless := read(func(o *mosaic.FileOptions) { o.File.Compression = mosaic.CompressionDeflate })
	usual := read(func(*mosaic.FileOptions) {})
	fine := read(func(o *mosaic.FileOptions) { o.Quality = 90 })
	coarse := read(func(o *mosaic.FileOptions) { o.Quality = 20 })
	off := func(pix []uint8) (sum int) {
		for i, v := range pix {
			d := int(v) - int(lossless[i])
			sum += d * d
		}
		return sum
	}
	if !bytes.Equal(usual, fine) || off(usual) == 0 || off(coarse) <= off(usual) {
		t.Errorf("squared errors: %d by default, %d at 90, %d at 20", off(usual), off(fine), off(coarse))
	}
	statements, err := imagefile.ReadProvenance(o.Output)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, s := range statements {
		text += s.Key + "=" + s.Value + "\n"
	}
	if !strings.Contains(text, `"compression":"jpeg"`) || !strings.Contains(text, `"quality":20`) {
		t.Errorf("the provenance doesn't say how the pixels are compressed:\n%s", text)
	}
}
