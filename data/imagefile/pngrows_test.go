package imagefile_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
)

// What is written row by row is read by the standard library as the same pixels, and by this package with its texts.
func TestWritePNGProperty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.png")
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 40).Draw(t, "width"), rapid.IntRange(1, 40).Draw(t, "height")
		m := imagefile.New(width, height)
		copy(m.Pix, rapid.SliceOfN(rapid.Byte(), len(m.Pix), len(m.Pix)).Draw(t, "pixels"))
		texts := []imagefile.Pair{{Key: "Description", Value: "a stain"}, {Key: "Software", Value: "µ"}}
		var b bytes.Buffer
		rest := m.Pix
		err := imagefile.WritePNG(&b, width, height, texts, func() ([]uint8, error) {
			n := 3 * width * rapid.IntRange(1, len(rest)/(3*width)).Draw(t, "rows")
			rows := rest[:n]
			rest = rest[n:]
			return rows, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if img.Bounds() != image.Rect(0, 0, width, height) {
			t.Fatalf("%v, want %d×%d", img.Bounds(), width, height)
		}
		for i := range width * height {
			want := color.RGBA{m.Pix[3*i], m.Pix[3*i+1], m.Pix[3*i+2], 255}
			if got := color.RGBAModel.Convert(img.At(i%width, i/width)); got != want {
				t.Fatalf("pixel %d is %v, want %v", i, got, want)
			}
		}
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		pairs, err := imagefile.ReadProvenance(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(texts, pairs); diff != "" {
			t.Error(diff)
		}
	})
}

// Rows that don't fit, and errors of their source or of the file, end the file with an error.
func TestWritePNGErrors(t *testing.T) {
	failed := errors.New("failed")
	row := make([]uint8, 12)
	for name, test := range map[string]struct {
		width, height int
		next          func() ([]uint8, error)
	}{
		"no pixels":     {0, 1, func() ([]uint8, error) { return nil, nil }},
		"too few":       {4, 2, func() ([]uint8, error) { return row[:11], nil }},
		"no rows":       {4, 2, func() ([]uint8, error) { return nil, nil }},
		"too many rows": {4, 2, func() ([]uint8, error) { return slices.Concat(row, row, row), nil }},
		"source":        {4, 2, func() ([]uint8, error) { return nil, failed }},
	} {
		if err := imagefile.WritePNG(&bytes.Buffer{}, test.width, test.height, nil, test.next); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	err := imagefile.WritePNG(full{failed}, 4, 1, nil, func() ([]uint8, error) { return row, nil })
	if !errors.Is(err, failed) {
		t.Errorf("a full disk: %v", err)
	}
}

// full is a file that can't be written.
type full struct{ err error }

func (f full) Write([]byte) (int, error) { return 0, f.err }
