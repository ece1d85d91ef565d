package catalogue_test

import (
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/server/catalogue"
)

// Tiles of 256 pixels at random places of an open slide: HISTDIST_SLIDES names a folder of real ones.
func BenchmarkTile(b *testing.B) {
	folder := os.Getenv("HISTDIST_SLIDES")
	if folder == "" {
		folder = b.TempDir()
		writeSlide(b, filepath.Join(folder, "a.ome.tiff"), 2048, 2048, 0)
	}
	c, err := catalogue.New(catalogue.Options{Folders: []string{folder}, Key: []byte("key"), Bytes: 64 << 20})
	must(b, err)
	b.Cleanup(func() { must(b, c.Close()) })
	list, err := c.List(b.Context())
	must(b, err)
	m, err := list[0].Meta(b.Context())
	must(b, err)
	r := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		at := image.Pt(r.IntN(m.Width-256), r.IntN(m.Height-256))
		_, err := list[0].Encode(b.Context(), catalogue.Part{
			Rect: image.Rect(0, 0, 256, 256).Add(at), Width: 256, Height: 256, Format: imagefile.JPEG, Quality: 85,
		})
		must(b, err)
	}
}
