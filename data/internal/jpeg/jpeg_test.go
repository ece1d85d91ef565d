package jpeg_test

import (
	"bytes"
	"errors"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/internal/jpeg"
)

// rgbOf reads what Pillow decoded: [H,W,3].
func rgbOf(t *testing.T, path string) (width, height int, pix []uint8) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	rgba := image.NewNRGBA(img.Bounds())
	draw.Draw(rgba, rgba.Rect, img, img.Bounds().Min, draw.Src)
	for i := 0; i < len(rgba.Pix); i += 4 {
		pix = append(pix, rgba.Pix[i:i+3]...)
	}
	return rgba.Rect.Dx(), rgba.Rect.Dy(), pix
}

func fixtures(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(filepath.Base(path), ".jpg")] = data
	}
	return files
}

// testdata/gen_jpeg.py: Pillow's images, exactly.
func TestDecodeEqualsPillow(t *testing.T) {
	for name, data := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			width, height, want := rgbOf(t, "testdata/"+name+".png")
			got, err := jpeg.Decode(data, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if got.Width != width || got.Height != height || len(got.Pix) != len(want) {
				t.Fatalf("%d×%d with %d values, want %d×%d with %d", got.Width, got.Height, len(got.Pix), width, height, len(want))
			}
			wrong, largest := 0, 0
			for i := range want {
				if d := int(got.Pix[i]) - int(want[i]); d != 0 {
					wrong++
					largest = max(largest, d, -d)
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d values differ, by up to %d", wrong, len(want), largest)
			}
			if got.Incomplete {
				t.Error("a whole file is called incomplete")
			}
			header, err := jpeg.ReadHeader(data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got.Header, header); diff != "" {
				t.Errorf("ReadHeader (+) and Decode (-) differ:\n%s", diff)
			}
		})
	}
}

// A file cut anywhere is an error, and never an image with made-up rows.
func TestDecodeTruncated(t *testing.T) {
	for name, data := range fixtures(t) {
		if strings.Contains(name, "progressive") {
			continue // its last scans may be left out: see TestIncomplete
		}
		picture, err := jpeg.Decode(data, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(data)-2; n += 1 + len(data)/100 {
			got, err := jpeg.Decode(data[:n], 1<<20)
			switch {
			case err == nil && !bytes.Equal(got.Pix, picture.Pix):
				t.Errorf("%s: %d of %d bytes give another picture", name, n, len(data))
			case err != nil && n > 2 && !errors.Is(err, jpeg.ErrTruncated):
				t.Errorf("%s: %d of %d bytes: %v", name, n, len(data), err)
			}
		}
	}
}

func TestProgressiveTruncated(t *testing.T) {
	data := fixtures(t)["420-progressive"]
	for n := range len(data) - 2 {
		if _, err := jpeg.Decode(data[:n], 1<<20); !errors.Is(err, jpeg.ErrTruncated) && n > 2 {
			t.Errorf("%d of %d bytes: %v", n, len(data), err)
		}
	}
}

// A progressive file may end after any scan.
func TestIncomplete(t *testing.T) {
	data := fixtures(t)["444-progressive"]
	last := bytes.LastIndex(data, []byte{0xFF, 0xDA})
	cut := append(bytes.Clone(data[:last]), 0xFF, 0xD9)
	picture, err := jpeg.Decode(cut, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if !picture.Incomplete {
		t.Error("a file without its last scan is not called incomplete")
	}
}

func TestRefused(t *testing.T) {
	base := fixtures(t)["420-16x16"]
	frame := bytes.Index(base, []byte{0xFF, 0xC0})
	patched := func(at int, value byte) []byte {
		b := bytes.Clone(base)
		b[at] = value
		return b
	}
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"no signature", []byte("PNG"), "no JPEG signature"},
		{"arithmetic", patched(frame+1, 0xC9), "arithmetic coding is not supported"},
		{"lossless", patched(frame+1, 0xC3), "lossless coding is not supported"},
		{"12 bits", patched(frame+4, 12), "12 bits a sample"},
		{"too large", patched(frame+5, 0xFF), "the limit is 262144"},
		{"no height", append(append(bytes.Clone(base[:frame+5]), 0, 0), base[frame+7:]...), "no pixels"},
		{"too many pixels for its bytes", patched(frame+5, 0x30), "the data end too early"},
		{"no table", patched(frame+12, 3), "quantisation table 3 is missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := jpeg.Decode(test.data, 1<<18)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, data := range fixtures(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		picture, err := jpeg.Decode(data, 1<<16)
		if err != nil {
			return
		}
		if len(picture.Pix) != 3*picture.Width*picture.Height {
			t.Errorf("%d×%d with %d values", picture.Width, picture.Height, len(picture.Pix))
		}
	})
}
