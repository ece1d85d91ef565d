package tiff_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/tiff"
)

// fixtures are the files of testdata/gen_tiff.py whose names end like this.
func fixtures(t testing.TB, ending string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*" + ending)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if ending == ".tif" && strings.HasSuffix(path, ".refused.tif") {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(filepath.Base(path), ending)] = data
	}
	return files
}

func open(t testing.TB, data []byte) *tiff.File {
	t.Helper()
	f, err := tiff.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// wanted reads what is wanted of a file as [H,W,channels].
func wanted(t *testing.T, name string, channels int) (width, height int, pix []uint8) {
	t.Helper()
	base, _, _ := strings.Cut(name, "--")
	data, err := os.ReadFile("testdata/" + base + ".want.png")
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds().Size()
	for y := range size.Y {
		for x := range size.X {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			values := [][]uint8{1: {c.R}, 2: {c.R, c.A}, 3: {c.R, c.G, c.B}, 4: {c.R, c.G, c.B, c.A}}[channels]
			pix = append(pix, values...)
		}
	}
	return size.X, size.Y, pix
}

// mainPage returns the image that is shown of a file.
func mainPage(t testing.TB, data []byte) *tiff.Page {
	t.Helper()
	page, _, err := open(t, data).Main()
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func all(p *tiff.Page) image.Rectangle { return image.Rect(0, 0, p.Width, p.Height) }

func read(t testing.TB, p *tiff.Page, r image.Rectangle) []uint8 {
	t.Helper()
	pix := make([]uint8, r.Dx()*r.Dy()*p.Channels())
	if err := p.ReadRegion(pix, r); err != nil {
		t.Fatal(err)
	}
	return pix
}

// testdata/gen_tiff.py: what Pillow and tifffile decode, exactly.
func TestReadEqualsPillow(t *testing.T) {
	for name, data := range fixtures(t, ".tif") {
		t.Run(name, func(t *testing.T) {
			page := mainPage(t, data)
			if err := page.Check(); err != nil {
				t.Fatal(err)
			}
			width, height, want := wanted(t, name, page.Channels())
			if page.Width != width || page.Height != height {
				t.Fatalf("%d×%d pixels, want %d×%d", page.Width, page.Height, width, height)
			}
			wrong, largest := 0, 0
			for i, v := range read(t, page, all(page)) {
				if d := int(v) - int(want[i]); d != 0 {
					wrong++
					largest = max(largest, d, -d)
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d values differ, by up to %d", wrong, len(want), largest)
			}
		})
	}
}

// Any region is the part of the whole that it covers, whatever strips or tiles it cuts, and so is each tile; from
// several goroutines at once.
func TestRegionsAreCutFromTheWhole(t *testing.T) {
	for name, data := range fixtures(t, ".tif") {
		t.Run(name, func(t *testing.T) {
			page := mainPage(t, data)
			whole, channels := read(t, page, all(page)), page.Channels()
			cut := func(r image.Rectangle) (pix []uint8) {
				for y := r.Min.Y; y < r.Max.Y; y++ {
					pix = append(pix, whole[(y*page.Width+r.Min.X)*channels:][:r.Dx()*channels]...)
				}
				return pix
			}
			var group sync.WaitGroup
			columns, rows := page.Tiles()
			for i := range columns * rows {
				group.Go(func() {
					if r := page.Tile(i%columns, i/columns); !bytes.Equal(read(t, page, r), cut(r)) {
						t.Errorf("tile %d is not the part of the whole", i)
					}
				})
			}
			group.Wait()
			for _, r := range []image.Rectangle{
				{}, image.Rect(0, 0, 1, 1), image.Rect(36, 28, 37, 29), image.Rect(3, 5, 20, 19), image.Rect(17, 0, 18, 29), image.Rect(0, 15, 37, 16),
			} {
				if r = r.Intersect(all(page)); !bytes.Equal(read(t, page, r), cut(r)) {
					t.Errorf("region %v is not the part of the whole", r)
				}
			}
			for _, r := range []image.Rectangle{image.Rect(0, 0, page.Width+1, 1), image.Rect(-1, 0, 1, 1)} {
				if err := page.ReadRegion(make([]uint8, r.Dx()*r.Dy()*channels), r); err == nil {
					t.Errorf("region %v, which is not inside the page, was read", r)
				}
			}
		})
	}
}

// What can't be read is refused by Check, before anything is decoded, and named in a user's words.
func TestRefused(t *testing.T) {
	want := map[string]string{
		"ccitt-rle": "CCITT run-length compression", "old-jpeg": "old-style JPEG (6) compression", "jpeg2000-aperio": "JPEG 2000 compression",
		"jpeg2000": "JPEG 2000 compression", "lerc": "LERC compression", "lzma": "LZMA compression", "jpegxr": "JPEG XR compression",
		"webp": "WebP compression", "jpegxl": "JPEG XL compression", "unknown-compression": "the unknown compression 65000",
		"float32": "floating-point samples of 32 bits", "float-predictor": "predictor 3, of floating-point samples,", "uint32": "32 bits a sample (1 to 16 are)",
		"int8": "signed samples of 8 bits", "lab": "CIE L*a*b* colours", "mixed-depths": "samples of different depths (5 and 6 bits)",
		"channels": "5 grey channels that have no stated meaning", "other-inks": "inks other than cyan, magenta, yellow and black",
		"jpeg-12-bits": "JPEG compression of 12 bits a sample", "predictor-4-bits": "a predictor on samples of 4 bits",
		"group3-whole-bytes": "CCITT Group 3 compression whose lines end at whole bytes", "group3-2d": "two-dimensional CCITT Group 3 compression",

		"jpeg-other-components": "tiff: the data of strip 1 are damaged (its JPEG data have 1 components, the page has 3)",
		"huge":                  "tiff: strip 1 of 1 lies beyond the end of the file, which is cut off or damaged",
		"huge-deflate-tile":     "tiff: tile 1 of 1 has 75 bytes, too few for its 16000×16000 pixels; the file is damaged",
		"short-strip":           "tiff: strip 5 of 5 has 10 bytes, too few for its 37×1 pixels; the file is damaged",
		"strip-beyond-the-end":  "tiff: strip 1 of 1 lies beyond the end of the file, which is cut off or damaged",
		"too-few-strips":        "tiff: the file locates 2 strips; the image has 5",
		"all-tiles-left-out":    "tiff: all tiles of the image are left out",
		"no-width":              "tiff: the file does not say how wide and high the image is",
		"no-pages":              "tiff: the file has no image",
		"short-palette":         "tiff: the palette has 30 values; 256 colours need 768",
	}
	got := map[string]string{}
	for name, data := range fixtures(t, ".refused.tif") {
		f, err := tiff.Open(bytes.NewReader(data), int64(len(data)))
		if err == nil {
			page, _, _ := f.Main()
			err = page.Check()
			if reading := page.ReadRegion(nil, image.Rectangle{}); err == nil || reading == nil {
				t.Errorf("%s is read: %v, %v", name, err, reading)
				continue
			}
		}
		got[name] = err.Error()
		if missing := (*tiff.UnsupportedError)(nil); errors.As(err, &missing) {
			got[name] = missing.What
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
	const text = "TIFF with WebP compression is not supported; " +
		"save it as 8-bit RGB, uncompressed or with LZW, Deflate or JPEG compression"
	if err := (&tiff.UnsupportedError{What: "WebP compression"}).Error(); err != text {
		t.Errorf("the whole message is %q, want %q", err, text)
	}
	aperio := mainPage(t, fixtures(t, ".refused.tif")["jpeg2000-aperio"])
	if err := aperio.Check(); err == nil || !strings.Contains(err.Error(), "OpenSlide reads it") {
		t.Errorf("the message %v does not name OpenSlide", err)
	}
}

// The image of full resolution is chosen, and it is said which that is.
func TestPages(t *testing.T) {
	got := map[string]string{}
	files := fixtures(t, ".tif")
	for _, name := range []string{
		"described", "pages", "pyramid-pages", "pyramid-subifds", "thumbnail-first", "old-thumbnail-first", "full-in-subifd", "mask-first", "loop",
		"next-page-beyond-the-end",
	} {
		f := open(t, files["rgb--"+name])
		_, note, err := f.Main()
		if err != nil {
			t.Error(err)
		}
		got[name] = note
	}
	want := map[string]string{
		"described":                "",
		"pages":                    "page 1 was read, 37×29 pixels: the file has several pages, 2",
		"pyramid-pages":            "page 1 was read, 37×29 pixels: the file has several pages, 2",
		"pyramid-subifds":          "page 1 was read, 37×29 pixels: the file has several images, 1 in its list of pages and 1 within them",
		"thumbnail-first":          "page 2 was read, 37×29 pixels: the file has several pages, 2",
		"old-thumbnail-first":      "page 2 was read, 37×29 pixels: the file has several pages, 2",
		"full-in-subifd":           "sub-image 1 of page 1 was read, 37×29 pixels: the file has several images, 1 in its list of pages and 1 within them",
		"mask-first":               "page 2 was read, 37×29 pixels: the file has several pages, 2",
		"loop":                     "page 1 was read, 37×29 pixels: the list of pages is damaged after page 2 (tiff: the directories form a loop at byte 3278)",
		"next-page-beyond-the-end": "page 1 was read, 37×29 pixels: the list of pages is damaged after page 1 (tiff: a directory should be at byte 1073741824 of 3392; the file is cut off or damaged)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	levels := open(t, files["rgb--pyramid-subifds"]).Pages[0].SubImages
	if len(levels) != 1 || !levels[0].Reduced || levels[0].Width != 19 || levels[0].Height != 15 {
		t.Fatalf("sub-images %+v", levels)
	}
	read(t, levels[0], all(levels[0]))
}

func TestTagsOfAPage(t *testing.T) {
	page := open(t, fixtures(t, ".tif")["rgb--described"]).Pages[0]
	text := func(id tiff.Tag) string {
		s, err := page.Text(id)
		if err != nil {
			t.Error(err)
		}
		return s
	}
	x, y, ok := page.Resolution()
	profile, err := page.ICC()
	if err != nil {
		t.Error(err)
	}
	got := []any{text(tiff.TagImageDescription), text(271), text(272), page.Orientation(), x, y, ok, string(profile)}
	if diff := cmp.Diff([]any{"a slide", "Maker", "S60", 6, 20000.0, 20000.0, true, "no profile"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A tile that the file leaves out is white, and counted.
func TestSparseTiles(t *testing.T) {
	page := open(t, fixtures(t, ".tif")["left-out--sparse-tiles"]).Pages[0]
	if n, err := page.EmptyTiles(); n != 1 || err != nil {
		t.Errorf("%d empty tiles, %v, want 1", n, err)
	}
	var absent []image.Point
	columns, rows := page.Tiles()
	for i := range columns * rows {
		if gone, err := page.Absent(i%columns, i/columns); err != nil {
			t.Error(err)
		} else if gone {
			absent = append(absent, image.Pt(i%columns, i/columns))
		}
	}
	if diff := cmp.Diff([]image.Point{{1, 1}}, absent); diff != "" {
		t.Errorf("absent tiles (-want +got):\n%s", diff)
	}
	if _, err := page.Absent(columns, 0); err == nil {
		t.Error("a tile beyond the image is neither there nor absent")
	}
}

// Levels are the same whether pages or sub-images hold them; what is not a smaller version in tiles is none.
func TestLevels(t *testing.T) {
	files := fixtures(t, ".tif")
	both := [][2]int{{37, 29}, {19, 15}}
	for name, want := range map[string][][2]int{
		"pyramid-pages": both, "pyramid-subifds": both, "thumbnail-first": both[:1], "pages": both[:1], "mask-first": both[:1],
	} {
		levels, err := open(t, files["rgb--"+name]).Levels()
		if err != nil {
			t.Error(err)
		}
		var got [][2]int
		for _, p := range levels {
			got = append(got, [2]int{p.Width, p.Height})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A file cut anywhere is an error or the whole image, never another one.
func TestTruncated(t *testing.T) {
	for name, data := range fixtures(t, ".tif") {
		page := mainPage(t, data)
		want := read(t, page, all(page))
		for n := 0; n < len(data); n += 1 + len(data)/60 {
			f, err := tiff.Open(bytes.NewReader(data[:n]), int64(n))
			if err != nil {
				continue
			}
			page, _, err := f.Main()
			if err != nil || page.Check() != nil || page.Width*page.Height > 1<<16 {
				continue
			}
			got := make([]uint8, page.Width*page.Height*page.Channels())
			if err := page.ReadRegion(got, all(page)); err == nil && !bytes.Equal(got, want) {
				t.Errorf("%s: %d of %d bytes give another image", name, n, len(data))
			}
		}
	}
}

// What is written comes back.
func TestEncodeRGB(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 40).Draw(t, "width"), rapid.IntRange(1, 200).Draw(t, "height")
		pix := rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "pattern")
		for len(pix) < 3*width*height {
			pix = append(pix, pix...)
		}
		pix = pix[:3*width*height]
		fields := []tiff.Field{tiff.ASCII(tiff.TagSoftware, "histdist")}
		exif := []tiff.Field{tiff.Undefined(tiff.TagUserComment, []byte("a comment"))}
		data, err := tiff.EncodeRGB(pix, width, height, fields, exif)
		if err != nil {
			t.Fatal(err)
		}
		f, err := tiff.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		page := f.Pages[0]
		got := make([]uint8, len(pix))
		if err := page.ReadRegion(got, all(page)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(pix, got) {
			t.Fatal("other pixels came back")
		}
		sub, err := page.Sub(tiff.TagExifIFD)
		if err != nil {
			t.Fatal(err)
		}
		comment, err := sub.Bytes(tiff.TagUserComment)
		software, _ := page.Text(tiff.TagSoftware)
		if err != nil || string(comment) != "a comment" || software != "histdist" {
			t.Fatalf("comment %q, software %q, %v", comment, software, err)
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, ending := range []string{".tif", ".refused.tif"} {
		for _, data := range fixtures(f, ending) {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := tiff.Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for _, page := range file.Pages[:min(len(file.Pages), 8)] {
			page.Resolution()
			if page.Check() != nil || page.Width > 1<<14 || page.Width*page.Height > 1<<16 {
				continue
			}
			pix := make([]uint8, page.Width*page.Height*page.Channels())
			if page.ReadRegion(pix, all(page)) != nil {
				continue
			}
			columns, rows := page.Tiles()
			r := page.Tile(columns-1, rows-1)
			if err := page.ReadRegion(make([]uint8, r.Dx()*r.Dy()*page.Channels()), r); err != nil {
				t.Errorf("the whole page is read but not its last tile: %v", err)
			}
		}
	})
}
