package tiff_test

import (
	"image"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/histdist/histdist/data/tiff"
)

// TestSlides reads the real slides of the folder named by HISTDIST_SLIDES: every page can be decoded, a tile in its
// middle is what the region there is, and the main page is tissue on glass, neither black nor of one colour.
func TestSlides(t *testing.T) {
	folder := os.Getenv("HISTDIST_SLIDES")
	if folder == "" {
		t.Skip("HISTDIST_SLIDES names no folder of slides")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.svs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			info, err := file.Stat()
			if err != nil {
				t.Fatal(err)
			}
			slide, err := tiff.Open(file, info.Size())
			if err != nil {
				t.Fatal(err)
			}
			levels, err := slide.Levels()
			if err != nil || levels[0] != slide.Pages[0] {
				t.Errorf("levels %v, %v: want the first page first", levels, err)
			}
			for _, page := range slide.Pages {
				if err := page.Check(); err != nil {
					t.Fatalf("page %d: %v", page.Index, err)
				}
				columns, rows := page.Tiles()
				r := page.Tile(columns/2, rows/2).Intersect(image.Rect(0, 0, page.Width, page.Height))
				region := make([]uint8, r.Dx()*r.Dy()*page.Channels())
				if err := page.ReadRegion(region, r); err != nil {
					t.Fatalf("page %d: %v", page.Index, err)
				}
				if page == slide.Pages[0] && (slices.Max(region) < 128 || slices.Max(region) == slices.Min(region)) {
					t.Errorf(
						"the middle of the slide has values from %d to %d: want an image of tissue",
						slices.Min(region),
						slices.Max(region),
					)
				}
			}
		})
	}
}
