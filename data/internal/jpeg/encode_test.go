package jpeg_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/internal/jpeg"
)

// testdata/gen_jpeg.py: the bytes that Pillow writes.
func TestEncodeEqualsPillow(t *testing.T) {
	files := fixtures(t)
	tested := 0
	for name, want := range files {
		var subsampling string
		var width, height, quality int
		if n, _ := fmt.Sscanf(name, "encode-%3s-%dx%d-q%d", &subsampling, &width, &height, &quality); n != 4 {
			continue
		}
		tested++
		t.Run(name, func(t *testing.T) {
			_, _, pix := rgbOf(t, filepath.Join("testdata", name+".source.png"))
			o := jpeg.EncodeOptions{Quality: quality}
			if subsampling == "444" {
				o.Subsampling = jpeg.Subsampling444
			}
			got, err := jpeg.Encode(pix, width, height, o)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes differ from Pillow's %d", len(got), len(want))
			}
		})
	}
	if tested == 0 {
		t.Error("no fixture was tested")
	}
}

func TestEncodeKeepsExif(t *testing.T) {
	exif := []byte("MM\x00*\x00\x00\x00\x08\x00\x00")
	data, err := jpeg.Encode(make([]uint8, 12), 2, 2, jpeg.EncodeOptions{Quality: 90, Exif: exif})
	if err != nil {
		t.Fatal(err)
	}
	header, err := jpeg.ReadHeader(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(header.Exif, exif) {
		t.Errorf("Exif %q, want %q", header.Exif, exif)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, test := range []struct {
		name          string
		width, height int
		values        int
		options       jpeg.EncodeOptions
		want          string
	}{
		{"quality", 2, 2, 12, jpeg.EncodeOptions{}, "quality 0; it is 1 to 100"},
		{"values", 2, 2, 11, jpeg.EncodeOptions{Quality: 1}, "with 11 values"},
		{"side", 65536, 1, 3 * 65536, jpeg.EncodeOptions{Quality: 1}, "want sides of 1 to 65535"},
		{"Exif", 1, 1, 3, jpeg.EncodeOptions{Quality: 1, Exif: make([]byte, jpeg.MaxExif+1)}, "bytes of Exif"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := jpeg.Encode(make([]uint8, test.values), test.width, test.height, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// A segment and its tables are what Encode puts into one file.
func TestSegmentsShareTables(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pix := make([]uint8, 3*50*41)
	for i := range pix {
		pix[i] = uint8(r.IntN(256))
	}
	for _, subsampling := range []jpeg.Subsampling{0, jpeg.Subsampling444} {
		whole, err := jpeg.Encode(pix, 50, 41, jpeg.EncodeOptions{Quality: 85, Subsampling: subsampling})
		if err != nil {
			t.Fatal(err)
		}
		want, err := jpeg.Decode(whole, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		e, err := jpeg.NewEncoder(85, subsampling)
		if err != nil {
			t.Fatal(err)
		}
		tables, err := jpeg.ReadTables(e.Tables())
		if err != nil {
			t.Fatal(err)
		}
		segment, err := e.AppendSegment([]byte("before"), pix, 50, 41)
		if err != nil {
			t.Fatal(err)
		}
		got, err := jpeg.DecodeSegment(bytes.TrimPrefix(segment, []byte("before")), tables, jpeg.FromYCbCr, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Pix, want.Pix) {
			t.Error("the segment has other pixels than the file")
		}
		if _, err := e.AppendSegment(nil, pix, 50, 40); err == nil {
			t.Error("a segment of another size was written")
		}
	}
}
