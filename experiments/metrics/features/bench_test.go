package features_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/graph/inception"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/formula"
	"github.com/histdist/histdist/internal/networktest"
)

// inceptionFile saves FID's network with weights by formula.
func inceptionFile(b *testing.B) string {
	b.Helper()
	n, err := inception.Build(inception.FID, 1)
	if err != nil {
		b.Fatal(err)
	}
	m, err := (formula.Weights{Seed: 1, Gain: 1.6}).Bind(n.Scope.Params())
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	all, err := weights.FromParams(n.Scope.Params())
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "inception.safetensors")
	if err := weights.Save(path, all, weights.SaveOptions{}); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkFIDFeatures takes features from images of 512×512 pixels, the preparation included.
func BenchmarkFIDFeatures(b *testing.B) {
	path, d := inceptionFile(b), networktest.Open(b, "auto")
	for _, batch := range []int{1, 8} {
		b.Run(fmt.Sprint("batch ", batch), func(b *testing.B) {
			e := open(b, features.FIDInception, path, features.Options{Device: d, Batch: batch})
			images := make([]*imagefile.Image, batch)
			for i := range images {
				images[i] = imagefile.New(512, 512)
				for j := range images[i].Pix {
					images[i].Pix[j] = uint8(i + j*j>>4)
				}
			}
			extract(b, e, images...)
			for b.Loop() {
				extract(b, e, images...)
			}
			b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
