package tiff_test

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/internal/parallel"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/slide-*.ome.tiff anew; scripts/read_tiff.py checks them")

// slidePixels are waves, plain white and grey parts with tiles of one colour: RGB [height,width,3].
func slidePixels(width, height int) []uint8 {
	pix := make([]uint8, 3*width*height)
	wave := func(v, period int) int {
		v %= 2 * period
		return min(v, 2*period-v) * 90 / period
	}
	for i := range width * height {
		x, y := i%width, i/width
		p := pix[3*i:][:3]
		switch {
		case x >= 2048 && y >= 512:
			p[0], p[1], p[2] = 200, 200, 200
		case x%1024 >= 120 || x >= 1024 && y < 300:
			p[0], p[1], p[2] = 255, 255, 255
		default:
			p[0] = uint8(150 + wave(x+y/2, 161))
			p[1] = uint8(60 + wave(x/3+y, 90))
			p[2] = uint8(120 + wave(2*x+3*y+x*y/997, 383))
		}
	}
	return pix
}

// writeSlide writes pixels as a slide, its tiles in the order of the indices.
func writeSlide(t testing.TB, path string, pix []uint8, o tiff.SlideOptions, order []int) {
	t.Helper()
	w, err := tiff.CreateSlide(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	columns, _ := w.Tiles()
	for _, i := range order {
		r := w.Tile(i%columns, i/columns)
		var tile []uint8
		for y := r.Min.Y; y < r.Max.Y; y++ {
			tile = append(tile, pix[3*(y*o.Width+r.Min.X):][:3*r.Dx()]...)
		}
		if err := w.WriteTile(i%columns, i/columns, tile); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func ascending(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// halved is the mean of the pixels that there are of each 2×2.
func halved(pix []uint8, width, height int) (smaller []uint8, w, h int) {
	w, h = (width+1)/2, (height+1)/2
	for y := range h {
		for x := range w {
			for c := range 3 {
				sum, n := 0, 0
				for v := 2 * y; v < min(2*y+2, height); v++ {
					for u := 2 * x; u < min(2*x+2, width); u++ {
						sum += int(pix[3*(v*width+u)+c])
						n++
					}
				}
				smaller = append(smaller, uint8((2*sum+n)/(2*n)))
			}
		}
	}
	return smaller, w, h
}

// Every level of a lossless slide is what it should be, in whatever order its tiles come, and both lists of levels have
// it.
func TestSlideLevels(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {512, 512}, {513, 300}, {1025, 1024}, {2100, 700}, {7, 2500}, {1600, 2200}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			width, height := size[0], size[1]
			pix := slidePixels(width, height)
			n := ((width + 511) / 512) * ((height + 511) / 512)
			path := filepath.Join(t.TempDir(), "slide.ome.tiff")
			writeSlide(t, path, pix, tiff.SlideOptions{Width: width, Height: height}, rand.New(rand.NewPCG(1, 2)).Perm(n))
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f := open(t, data)
			levels, err := f.Levels()
			if err != nil {
				t.Fatal(err)
			}
			if len(levels) != len(f.Pages) || len(f.Pages[0].SubImages) != len(levels)-1 {
				t.Errorf("%d levels, %d pages, %d sub-images", len(levels), len(f.Pages), len(f.Pages[0].SubImages))
			}
			want := pix
			for i := range levels {
				if i > 0 {
					want, width, height = halved(want, width, height)
				}
				both := []*tiff.Page{f.Pages[i]}
				if i > 0 {
					both = append(both, f.Pages[0].SubImages[i-1])
				}
				for _, p := range both {
					if p.Width != width || p.Height != height {
						t.Fatalf("level %d has %d×%d pixels, want %d×%d", i, p.Width, p.Height, width, height)
					}
					if !bytes.Equal(read(t, p, all(p)), want) {
						t.Errorf("level %d has other pixels", i)
					}
				}
			}
			if max(width, height) > 1024 {
				t.Errorf("the last level has %d×%d pixels", width, height)
			}
		})
	}
}

// goldenSlides are read by OpenSlide, libvips, tifffile and Bio-Formats: scripts/read_tiff.py. The writer still writes
// them byte for byte, on one processor and on several.
func TestGoldenSlides(t *testing.T) {
	const width, height = 2100, 530
	pix := slidePixels(width, height)
	for name, quality := range map[string]int{"slide-jpeg": 90, "slide-deflate": 0} {
		t.Run(name, func(t *testing.T) {
			golden := "testdata/" + name + ".ome.tiff"
			o := tiff.SlideOptions{
				Width: width, Height: height, MPP: [2]float64{0.499, 0.25}, Quality: quality,
				Description: tiff.Description{
					Image: "größe <1> & \"2\"", Channel: "ER", Magnification: 20,
					Provenance: []tiff.Entry{{Key: "note", Value: "virtual stain,\n'research' use only"}},
				},
			}
			if *rewrite {
				writeSlide(t, golden, pix, o, ascending(10))
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			for _, processors := range []int{1, 3} {
				before := runtime.GOMAXPROCS(processors)
				path := filepath.Join(t.TempDir(), "slide.ome.tiff")
				writeSlide(t, path, pix, o, ascending(10))
				runtime.GOMAXPROCS(before)
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d processors: %d bytes, which are not the %d of %s, %v",
						processors, len(got), len(want), golden, err)
				}
			}
			if quality == 0 {
				return
			}
			page := open(t, want).Pages[0]
			sum := 0
			for i, v := range read(t, page, all(page)) {
				sum += max(int(v)-int(pix[i]), int(pix[i])-int(v))
			}
			if mean := float64(sum) / float64(len(pix)); mean > 2 {
				t.Errorf("the pixels differ by %.2f on average from those that were written", mean)
			}
		})
	}
}

func TestSlideDescription(t *testing.T) {
	data, err := os.ReadFile("testdata/slide-jpeg.ome.tiff")
	if err != nil {
		t.Fatal(err)
	}
	f := open(t, data)
	text, err := f.Pages[0].Text(tiff.TagImageDescription)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "&#") {
		t.Errorf("%q has a reference to a character, which Bio-Formats damages", text)
	}
	var ome struct {
		Image struct {
			Name   string `xml:"Name,attr"`
			Pixels struct {
				X, Y    float64
				SizeX   int     `xml:"SizeX,attr"`
				MPPX    float64 `xml:"PhysicalSizeX,attr"`
				MPPY    float64 `xml:"PhysicalSizeY,attr"`
				Unit    string  `xml:"PhysicalSizeXUnit,attr"`
				Channel struct {
					Name string `xml:"Name,attr"`
				}
			}
		}
		Instrument struct {
			Objective struct {
				Magnification float64 `xml:"NominalMagnification,attr"`
			}
		}
		StructuredAnnotations struct {
			MapAnnotation struct {
				Value struct {
					M []struct {
						K    string `xml:",attr"`
						Text string `xml:",chardata"`
					}
				}
			}
		}
	}
	if err := xml.Unmarshal([]byte(text), &ome); err != nil {
		t.Fatal(err)
	}
	x, y, ok := f.Pages[1].Resolution()
	near := func(a, b float64) bool { return a > b*(1-1e-8) && a < b*(1+1e-8) }
	profile, err := f.Pages[0].ICC()
	pixels, entry := ome.Image.Pixels, ome.StructuredAnnotations.MapAnnotation.Value.M
	got := []any{
		ome.Image.Name, pixels.SizeX, pixels.MPPX, pixels.MPPY, pixels.Unit, pixels.Channel.Name,
		ome.Instrument.Objective.Magnification, len(entry), entry[0].K, entry[0].Text,
		ok && near(x, 1e4/0.998) && near(y, 1e4/0.5), len(profile) > 400, err,
	}
	want := []any{
		"größe <1> & \"2\"", 2100, 0.499, 0.25, "µm", "ER", 20.0, 1, "note", "virtual stain,\n'research' use only",
		true, true, error(nil),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A large slide of glass takes a tile and the tables of where it lies.
func TestFlatSlide(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slide.ome.tiff")
	w, err := tiff.CreateSlide(path, tiff.SlideOptions{Width: 30000, Height: 20000, Quality: 90})
	if err != nil {
		t.Fatal(err)
	}
	columns, rows := w.Tiles()
	for i := range columns * rows {
		if err := w.FillTile(i%columns, i/columns, [3]uint8{255, 255, 255}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if tables := columns * rows * 12 * 3 / 2; len(data) > tables+40000 {
		t.Errorf("%d bytes; the tables take %d", len(data), tables)
	}
	levels, err := open(t, data).Levels()
	if err != nil || len(levels) != 6 {
		t.Fatalf("%d levels, %v, want 6", len(levels), err)
	}
	for _, p := range levels {
		for _, v := range read(t, p, image.Rect(p.Width-9, p.Height-9, p.Width, p.Height)) {
			if v != 255 {
				t.Fatalf("%d in a white slide of %d×%d", v, p.Width, p.Height)
			}
		}
	}
}

// What goes wrong is said, and nothing remains.
func TestSlideErrors(t *testing.T) {
	tile := make([]uint8, 3*512*512)
	for i := range tile {
		tile[i] = uint8(i)
	}
	good := tiff.SlideOptions{Width: 1500, Height: 600}
	for _, test := range []struct {
		name, want string
		options    tiff.SlideOptions
		write      func(w *tiff.SlideWriter) error
	}{
		{"size", "a slide of 0×5 pixels; sides are 1 to", tiff.SlideOptions{Height: 5}, nil},
		{"quality", "quality 101; it is 1 to 100", tiff.SlideOptions{Width: 1, Height: 1, Quality: 101}, nil},
		{"mpp", "want two sizes above 0", tiff.SlideOptions{Width: 1, Height: 1, MPP: [2]float64{1, 0}}, nil},
		{"missing", "5 of 6 tiles were not written", good, func(w *tiff.SlideWriter) error {
			return w.WriteTile(0, 0, tile)
		}},
		{"values", "9 values for a tile of 476×88 pixels", good, func(w *tiff.SlideWriter) error {
			return w.WriteTile(2, 1, make([]uint8, 9))
		}},
		{"outside", "there is no tile in column 3, row 0 of 3×2 tiles", good, func(w *tiff.SlideWriter) error {
			return w.FillTile(3, 0, [3]uint8{})
		}},
		{"outside, with pixels", "there is no tile in column -1, row 0", good, func(w *tiff.SlideWriter) error {
			return w.WriteTile(-1, 0, tile)
		}},
		{"twice", "the tile in column 1, row 0 is written twice", good, func(w *tiff.SlideWriter) error {
			if err := w.WriteTile(1, 0, tile); err != nil {
				return err
			}
			return w.FillTile(1, 0, [3]uint8{})
		}},
		{"discarded", "the slide is discarded", good, func(w *tiff.SlideWriter) error { w.Discard(); return nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := tiff.CreateSlide(filepath.Join(dir, "a.ome.tiff"), test.options)
			if err == nil {
				writing := test.write(w)
				if err = w.Close(); writing != nil && (err == nil || writing.Error() != err.Error()) {
					t.Errorf("writing fails with %v, closing with %v", writing, err)
				}
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%v remain, %v", left, err)
			}
		})
	}
	if _, err := tiff.CreateSlide(filepath.Join(t.TempDir(), "none", "a.tiff"), good); err == nil {
		t.Error("a slide is begun in a folder that doesn't exist")
	}
}

// tissue is a large image with about the detail of a stained tissue; its pixels are of no file.
func tissue(width, height int) []uint8 {
	r := rand.New(rand.NewPCG(1, 2))
	pix := make([]uint8, 3*width*height)
	for i := range pix {
		x, y := i/3%width, i/3/width
		pix[i] = uint8(150 + 60*(x/16+y/16)%90 + r.IntN(12) - i%3*20)
	}
	return pix
}

const benchWidth, benchHeight = 4096, 2048

// BenchmarkWriteSlide writes all levels; Mpx are those of the first.
func BenchmarkWriteSlide(b *testing.B) {
	pix := tissue(benchWidth, benchHeight)
	for name, quality := range map[string]int{"JPEG": 90, "Deflate": 0} {
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "slide.ome.tiff")
			o := tiff.SlideOptions{Width: benchWidth, Height: benchHeight, Quality: quality}
			for b.Loop() {
				writeSlide(b, path, pix, o, ascending(benchWidth/512*benchHeight/512))
			}
			b.ReportMetric(float64(b.N)*benchWidth*benchHeight/1e6/b.Elapsed().Seconds(), "Mpx/s")
		})
	}
}

// BenchmarkReadSlide reads the first level tile by tile on all processors.
func BenchmarkReadSlide(b *testing.B) {
	pix := tissue(benchWidth, benchHeight)
	for name, quality := range map[string]int{"JPEG": 90, "Deflate": 0} {
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "slide.ome.tiff")
			o := tiff.SlideOptions{Width: benchWidth, Height: benchHeight, Quality: quality}
			n := benchWidth / 512 * benchHeight / 512
			writeSlide(b, path, pix, o, ascending(n))
			data, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			page := open(b, data).Pages[0]
			for b.Loop() {
				parallel.For(n, func(i int) {
					tile := page.Tile(i%(benchWidth/512), i/(benchWidth/512))
					if err := page.ReadRegion(make([]uint8, 3*512*512), tile); err != nil {
						b.Error(err)
					}
				})
			}
			b.ReportMetric(float64(b.N)*benchWidth*benchHeight/1e6/b.Elapsed().Seconds(), "Mpx/s")
		})
	}
}
