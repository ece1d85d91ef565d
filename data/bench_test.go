package data_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/data/imagefile"
)

// BenchmarkStream makes batches of 4 pairs of 512-px crops from 1024-px JPEG files, with no cache and with everything
// cached.
func BenchmarkStream(b *testing.B) {
	root := b.TempDir()
	loc := data.Location{Layout: data.Folders, HE: filepath.Join(root, "he"), IHC: filepath.Join(root, "ihc")}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 8 {
		img := imagefile.New(1024, 1024)
		for j := range img.Pix {
			y, x := j/3/1024, j/3%1024
			img.Pix[j] = uint8(100 + (x/9+y/7)%60 + 30*(j%3) + r.IntN(16))
		}
		for _, folder := range []string{loc.HE, loc.IHC} {
			path := filepath.Join(folder, fmt.Sprintf("%d.jpg", i))
			if i == 0 {
				put(b, path, 8, 8, 0) // makes the folder
			}
			if err := imagefile.Write(path, img, imagefile.WriteOptions{Quality: 90}); err != nil {
				b.Fatal(err)
			}
		}
	}
	dataset := open(b, loc)
	o := data.LoaderOptions{BatchSize: 4, Crop: 512, Augment: true, Shuffle: true, Workers: 2, ReadAhead: 2}
	reserved := newLoader(b, dataset, o).Stats().MemoryReserved
	for name, memory := range map[string]int64{"decoding": reserved, "cached": 1 << 30} {
		b.Run(name, func(b *testing.B) {
			o.Memory = memory
			l := newLoader(b, dataset, o)
			s := l.Stream(context.Background(), 0)
			defer s.Close()
			for range l.Steps() { // fill the cache
				if _, err := s.Next(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if _, err := s.Next(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(4*2*b.N)/b.Elapsed().Seconds(), "images/s")
			b.ReportMetric(float64(l.Stats().MemoryCached)/(1<<20), "MB-cached")
		})
	}
}
