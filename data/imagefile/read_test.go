package imagefile_test

import (
	"bytes"
	"errors"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/internal/jpeg"
)

// wanted reads an image of testdata with the standard library alone, composited on white.
func wanted(t *testing.T, path string) *imagefile.Image {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds().Size()
	want := imagefile.New(size.X, size.Y)
	for i := range size.X * size.Y {
		c := color.NRGBAModel.Convert(img.At(i%size.X, i/size.X)).(color.NRGBA)
		for k, v := range [3]uint8{c.R, c.G, c.B} {
			want.Pix[3*i+k] = uint8((int(v)*int(c.A) + 255*(255-int(c.A)) + 127) / 255)
		}
	}
	return want
}

func files(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// testdata/gen_pictures.py: what Pillow, tifffile and LittleCMS make of the files.
func TestRead(t *testing.T) {
	notes := map[string]string{
		"alpha": "composited on white: 195 of 221", "pages": "several pages", "turned": "Exif orientation 6", "turned-tiff": "Exif orientation 8",
		"icc": `from the profile "Adobe-like"`, "icc-grey": `"grey 1.6"`,
	}
	tested := 0
	for _, want := range files(t, "*.want.png") {
		name := strings.TrimSuffix(filepath.Base(want), ".want.png")
		for _, path := range files(t, name+".*") {
			if path == want || strings.Contains(path, ".refused.") {
				continue
			}
			tested++
			t.Run(filepath.Base(path), func(t *testing.T) {
				want := wanted(t, want)
				got, err := imagefile.Read(path, imagefile.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if got.Width != want.Width || got.Height != want.Height {
					t.Fatalf("%d×%d pixels, want %d×%d", got.Width, got.Height, want.Width, want.Height)
				}
				// LittleCMS rounds matrices and curves to 16 bits and interpolates curves: one level.
				tolerance := 0
				if strings.HasPrefix(name, "icc") {
					tolerance = 1
				}
				wrong := 0
				for i := range want.Pix {
					if d := int(got.Pix[i]) - int(want.Pix[i]); d > tolerance || d < -tolerance {
						wrong++
					}
				}
				if wrong > 0 {
					t.Errorf("%d of %d values differ by more than %d", wrong, len(want.Pix), tolerance)
				}
				note := notes[name]
				switch {
				case strings.HasPrefix(name, "orientation") && name != "orientation1":
					note = "Exif orientation"
				case strings.HasPrefix(name, "icc-") && note == "":
					note = "converted to sRGB"
				case strings.Contains(name, "trns-before-plte") || name == "odd-grey-trns" || name == "odd-palette-long":
					note = "composited on white"
				}
				if (note == "") != (len(got.Notes) == 0) || !strings.Contains(strings.Join(got.Notes, "\n"), note) {
					t.Errorf("notes %q, want %q", got.Notes, note)
				}
				width, height, err := imagefile.Size(path)
				if err != nil {
					t.Fatal(err)
				}
				if width != want.Width || height != want.Height {
					t.Errorf("Size is %d×%d, want %d×%d", width, height, want.Width, want.Height)
				}
			})
		}
	}
	if tested < 30 {
		t.Errorf("%d files were tested", tested)
	}
}

func TestRefused(t *testing.T) {
	for name, want := range map[string]string{
		"webp.refused.webp":        "WebP is not supported",
		"cmyk-profile.refused.jpg": `the colour profile "press" has no table from CMYK`,
		"icc-tables.refused.png":   "--icc ignore",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := imagefile.Read(filepath.Join("testdata", name), imagefile.Options{})
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v, want one with %q and the file's name", err, want)
			}
		})
	}
}

func TestIgnoreProfile(t *testing.T) {
	got, err := imagefile.Read("testdata/icc-tables.refused.png", imagefile.Options{ICC: imagefile.IgnoreICC})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted(t, "testdata/icc-tables.refused.png"), got); diff != "" {
		t.Errorf("the numbers in the file changed:\n%s", diff)
	}
}

func TestReadErrors(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	source, err := os.ReadFile("testdata/rgb.png")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path, want string
		options          imagefile.Options
		is               error
	}{
		{name: "missing", path: filepath.Join(folder, "none.png"), is: fs.ErrNotExist},
		{name: "folder", path: folder, want: "not a file"},
		{name: "empty", path: write("empty.png", nil), want: "the file is empty"},
		{name: "text", path: write("text.jpg", []byte("hello, world")), want: `begins with "hello, world"`, is: imagefile.ErrFormat},
		{name: "one byte", path: write("byte.jpg", []byte{0xFF}), is: imagefile.ErrFormat},
		{name: "too large", path: "testdata/rgb.png", want: "17×13 pixels; the limit is 220", options: imagefile.Options{MaxPixels: 220}, is: imagefile.ErrTooLarge},
		{name: "cut", path: write("cut.png", source[:len(source)-20]), want: "cut off"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := imagefile.Read(test.path, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.path) {
				t.Errorf("error %v, want one with %q and the path", err, test.want)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v is not %v", err, test.is)
			}
		})
	}
}

// The content decides, whatever the name says.
func TestWrongExtension(t *testing.T) {
	data, err := os.ReadFile("testdata/rgb.png")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rgb.jpg")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := imagefile.Read(path, imagefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted(t, "testdata/rgb.png"), got); diff != "" {
		t.Error(diff)
	}
}

// A file cut anywhere is an error that says so, or the whole image where only its end is gone.
func TestTruncated(t *testing.T) {
	for _, name := range []string{
		"rgb.png", "grey16.png", "tiff-raw.tif", "tiff-lzw.tif", "tiled.tif", "rgb.bmp", "icc.jpg",
	} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		whole, err := imagefile.Decode(data, imagefile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(data) {
			got, err := imagefile.Decode(data[:n], imagefile.Options{})
			if err == nil && !bytes.Equal(got.Pix, whole.Pix) {
				t.Errorf("%s: %d of %d bytes give another picture", name, n, len(data))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, path := range files(f, "*.*") {
		if data, err := os.ReadFile(path); err == nil && filepath.Ext(path) != ".py" {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		img, err := imagefile.Decode(data, imagefile.Options{MaxPixels: 1 << 14})
		if err != nil {
			return
		}
		if len(img.Pix) != 3*img.Width*img.Height {
			t.Errorf("%d×%d with %d values", img.Width, img.Height, len(img.Pix))
		}
	})
}

// FuzzProfile puts a colour profile into a JPEG file, where it is not compressed.
func FuzzProfile(f *testing.F) {
	for _, path := range files(f, "icc*.jpg") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		header, err := jpeg.ReadHeader(data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(header.ICC)
	}
	img := imagefile.New(4, 4)
	for i := range img.Pix {
		img.Pix[i] = uint8(5 * i)
	}
	file, err := imagefile.Encode(img, imagefile.JPEG, imagefile.WriteOptions{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, profile []byte) {
		if len(profile) > 65000 {
			return
		}
		segment := append([]byte("ICC_PROFILE\x00\x01\x01"), profile...)
		data := append(bytes.Clone(file[:2]), 0xFF, 0xE2, byte((len(segment)+2)>>8), byte(len(segment)+2))
		data = append(append(data, segment...), file[2:]...)
		if got, err := imagefile.Decode(data, imagefile.Options{}); err == nil && len(got.Pix) != len(img.Pix) {
			t.Errorf("%d values, want %d", len(got.Pix), len(img.Pix))
		}
	})
}

func FuzzProvenance(f *testing.F) {
	pairs := []imagefile.Pair{{Key: "Software", Value: "x"}, {Key: "model", Value: "é"}}
	for _, format := range []imagefile.Format{imagefile.PNG, imagefile.JPEG, imagefile.TIFF} {
		data, err := imagefile.Encode(imagefile.New(1, 1), format, imagefile.WriteOptions{Provenance: pairs})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "picture")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := imagefile.ReadProvenance(path); err == nil {
			if _, _, err := imagefile.Size(path); err != nil {
				t.Errorf("the texts can be read but not the size: %v", err)
			}
		}
	})
}
