package jpeg_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/internal/jpeg"
)

// byRows puts the rows of a file together.
func byRows(data []byte, inks bool) (pix []uint8, err error) {
	err = jpeg.DecodeRows(data, inks, func(rows []uint8) error {
		pix = append(pix, rows...)
		return nil
	})
	return pix, err
}

// Row by row a file has the pixels that it has as a whole.
func TestDecodeRowsIsDecode(t *testing.T) {
	read := 0
	for name, data := range fixtures(t) {
		header, err := jpeg.ReadHeader(data)
		if err != nil {
			continue
		}
		for _, inks := range []bool{false, true} {
			decode := jpeg.Decode
			if inks {
				decode = jpeg.DecodeInks
			}
			whole, err := decode(data, 1<<20)
			pix, rowsErr := byRows(data, inks)
			switch {
			case header.Rows && err == nil && rowsErr == nil && bytes.Equal(pix, whole.Pix):
				read++
			case header.Rows && err == nil:
				t.Errorf("%s: %v, or other pixels by rows", name, rowsErr)
			case rowsErr == nil:
				t.Errorf("%s: by rows without an error, as a whole: %v", name, err)
			}
		}
	}
	if read < 40 {
		t.Errorf("only %d files were read by rows", read)
	}
}

// So it is at any height, where rows of units are decoded in several goes.
func TestDecodeRowsProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 40).Draw(t, "width"), rapid.IntRange(1, 1200).Draw(t, "height")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		pix := make([]uint8, 3*width*height)
		for i := range pix {
			pix[i] = uint8(r.IntN(256))
		}
		data, err := jpeg.Encode(pix, width, height, jpeg.EncodeOptions{
			Quality:     rapid.IntRange(30, 100).Draw(t, "quality"),
			Subsampling: rapid.SampledFrom([]jpeg.Subsampling{jpeg.Subsampling444, 0}).Draw(t, "subsampling"),
		})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := jpeg.Decode(data, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := byRows(data, false)
		if err != nil || !bytes.Equal(rows, whole.Pix) {
			t.Fatalf("%v, or other pixels by rows", err)
		}
	})
}
