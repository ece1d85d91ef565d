package imagefile_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
)

// byRows reads an image row by row.
func byRows(path string, o imagefile.Options) (pix []uint8, notes []string, err error) {
	notes, err = imagefile.ReadRows(path, o, func(rows []uint8) error {
		pix = append(pix, rows...)
		return nil
	})
	return pix, notes, err
}

// Row by row an image has the same pixels and notes as a whole, whatever its colours, depth, profile and layout.
func TestReadRowsIsRead(t *testing.T) {
	read := 0
	paths := slices.Concat(
		files(t, "*.png"), files(t, "*.jpg"), files(t, "../../internal/jpeg/testdata/*.jpg"), tiffFiles(t))
	for _, path := range paths {
		for _, o := range []imagefile.Options{{}, {ICC: imagefile.IgnoreICC}} {
			whole, err := imagefile.Read(path, o)
			if !imagefile.HasRows(path) {
				continue
			}
			pix, notes, rowsErr := byRows(path, o)
			switch {
			case (err == nil) != (rowsErr == nil):
				t.Errorf("%s: as a whole %v, by rows %v", path, err, rowsErr)
			case err != nil:
			case !bytes.Equal(pix, whole.Pix):
				t.Errorf("%s: other pixels by rows", path)
			default:
				read++
				if diff := cmp.Diff(whole.Notes, notes); diff != "" {
					t.Errorf("%s: notes (-whole +rows):\n%s", path, diff)
				}
			}
		}
	}
	if read < 150 {
		t.Errorf("only %d images were read by rows", read)
	}
}

// Every kind of PNG that the standard library writes, in sizes whose rows don't fill their bytes.
func TestReadRowsOfPNG(t *testing.T) {
	r := image.Rect(0, 0, 37, 23)
	colours := func(n int) (p color.Palette) {
		for i := range n {
			p = append(p, color.NRGBA{uint8(255 * i / n), uint8(13 * i), uint8(200 - i%200), uint8(255 - i%3*60)})
		}
		return p
	}
	images := map[string]interface {
		image.Image
		Set(x, y int, c color.Color)
	}{
		"grey": image.NewGray(r), "grey of 16 bits": image.NewGray16(r), "RGB": image.NewRGBA(r),
		"RGB of 16 bits": image.NewRGBA64(r), "RGBA": image.NewNRGBA(r), "RGBA of 16 bits": image.NewNRGBA64(r),
		"2 colours": image.NewPaletted(r, colours(2)), "4 colours": image.NewPaletted(r, colours(4)),
		"16 colours": image.NewPaletted(r, colours(16)), "200 colours": image.NewPaletted(r, colours(200)),
	}
	for name, img := range images {
		for i := range 37 * 23 {
			x, y := i%37, i/37
			alpha := uint8(255)
			if strings.HasPrefix(name, "RGBA") {
				alpha = uint8(i * 5)
			}
			img.Set(x, y, color.NRGBA64{uint16(i * 977), uint16(x * 1771), uint16(y * 2801), uint16(alpha) * 257})
		}
		path := filepath.Join(t.TempDir(), "x.png")
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		whole, err := imagefile.Read(path, imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		pix, _, err := byRows(path, imagefile.Options{})
		if err != nil || !bytes.Equal(pix, whole.Pix) {
			t.Errorf("%s: %v, or other pixels than as a whole", name, err)
		}
	}
}

// What can't be read row by row is refused with what would help, and so is what is damaged.
func TestReadRowsRefuses(t *testing.T) {
	path := files(t, "bits.png")[0]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	idat := bytes.Index(data, []byte("IDAT"))
	change := func(at int, value byte) []byte {
		c := bytes.Clone(data)
		c[at] ^= value
		return c
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"cut off":        {data[:idat+20], "cut off"},
		"damaged pixels": {change(idat+14, 0x55), "png: "},
		"damaged header": {change(len("\x89PNG\r\n\x1a\n")+10, 1), "IHDR is damaged"},
	} {
		path := filepath.Join(t.TempDir(), "x.png")
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := byRows(path, imagefile.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for pattern, want := range map[string]string{
		"turned.jpg": "upright", "turned-tiff.tif": "upright", "odd-interlaced.png": "interlaced",
	} {
		for _, path := range files(t, pattern) {
			if imagefile.HasRows(path) {
				t.Errorf("%s has rows", path)
			}
			if _, _, err := byRows(path, imagefile.Options{}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", path, err, want)
			}
		}
	}
}

// No file ends the program, and what both ways read is the same.
func FuzzReadRows(f *testing.F) {
	for _, path := range slices.Concat(files(f, "*.png"), files(f, "*.jpg"), files(f, "*.tif")) {
		if data, err := os.ReadFile(path); err == nil && len(data) < 10_000 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		o := imagefile.Options{MaxPixels: 1 << 20}
		if width, height, err := imagefile.Size(path); err != nil || width > 1<<20/height {
			return
		}
		pix, _, err := byRows(path, o)
		whole, wholeErr := imagefile.Read(path, o)
		if err == nil && wholeErr == nil && !bytes.Equal(pix, whole.Pix) {
			t.Error("other pixels by rows than as a whole")
		}
	})
}
