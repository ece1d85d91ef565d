package jpeg_test

import (
	"bytes"
	stdjpeg "image/jpeg"
	"math/rand/v2"
	"testing"

	"github.com/histdist/histdist/data/internal/jpeg"
)

// tile is a 1024-px image with about the detail of a stained tissue, and its file at quality 90 (282 kB).
func tile(b *testing.B) (pix []uint8, file []byte) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	pix = make([]uint8, 3*1024*1024)
	for i := range pix {
		y, x := i/3/1024, i/3%1024
		pix[i] = uint8(150 + 60*(x/16+y/16)%90 + r.IntN(28) - i%3*20)
	}
	file, err := jpeg.Encode(pix, 1024, 1024, jpeg.EncodeOptions{Quality: 90})
	if err != nil {
		b.Fatal(err)
	}
	return pix, file
}

// BenchmarkDecode compares with the standard library, which stops at YCbCr planes.
func BenchmarkDecode(b *testing.B) {
	_, file := tile(b)
	b.Run("own, to RGB", func(b *testing.B) {
		for b.Loop() {
			if _, err := jpeg.Decode(file, 1<<20); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
	})
	b.Run("image/jpeg, to YCbCr", func(b *testing.B) {
		for b.Loop() {
			if _, err := stdjpeg.Decode(bytes.NewReader(file)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
	})
}

func BenchmarkEncode(b *testing.B) {
	pix, _ := tile(b)
	for name, subsampling := range map[string]jpeg.Subsampling{"4:2:0": 0, "4:4:4": jpeg.Subsampling444} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := jpeg.Encode(pix, 1024, 1024, jpeg.EncodeOptions{Quality: 90, Subsampling: subsampling}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
