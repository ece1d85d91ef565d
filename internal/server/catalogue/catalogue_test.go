package catalogue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/internal/openslide"
	"github.com/histdist/histdist/internal/server/catalogue"
)

// writeSlide writes a lossless slide whose pixels are a function of their place and of a seed.
func writeSlide(t testing.TB, path string, width, height int, seed uint8) {
	t.Helper()
	w, err := tiff.CreateSlide(path, tiff.SlideOptions{Width: width, Height: height, MPP: [2]float64{0.25, 0.25}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	columns, rows := w.Tiles()
	for row := range rows {
		for column := range columns {
			at := w.Tile(column, row)
			var pix []uint8
			for y := at.Min.Y; y < at.Max.Y; y++ {
				for x := at.Min.X; x < at.Max.X; x++ {
					pix = append(pix, uint8(x)+seed, uint8(y), uint8(x*y/64))
				}
			}
			if err := w.WriteTile(column, row, pix); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, folders ...string) *catalogue.Catalogue {
	t.Helper()
	t.Setenv(openslide.Variable, openslide.Off)
	c, err := catalogue.New(catalogue.Options{Folders: folders, Key: []byte("key"), Bytes: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func names(t testing.TB, c *catalogue.Catalogue) []string {
	t.Helper()
	list, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Links may lead to other places in the folders, and nowhere else.
func TestLinksAreConfined(t *testing.T) {
	outside, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	writeSlide(t, filepath.Join(outside, "secret.ome.tiff"), 300, 200, 0)
	must(t, os.Mkdir(filepath.Join(first, "sub"), 0o755), os.Mkdir(filepath.Join(first, ".hidden"), 0o755),
		os.Mkdir(filepath.Join(first, "x.ome.tiff.parts"), 0o755))
	for _, path := range []string{"sub/a.ome.tiff", ".hidden/h.ome.tiff", ".h.ome.tiff", "x.ome.tiff.parts/p.ome.tiff"} {
		writeSlide(t, filepath.Join(first, path), 300, 200, 0)
	}
	writeSlide(t, filepath.Join(second, "b.ome.tiff"), 300, 200, 0)
	relative, err := filepath.Rel(first, outside)
	must(t, err,
		os.Symlink(filepath.Join(first, "sub", "a.ome.tiff"), filepath.Join(first, "inside.ome.tiff")),
		os.Symlink(filepath.Join(second, "b.ome.tiff"), filepath.Join(first, "other folder.ome.tiff")),
		os.Symlink(filepath.Join(outside, "secret.ome.tiff"), filepath.Join(first, "out.ome.tiff")),
		os.Symlink(filepath.Join(relative, "secret.ome.tiff"), filepath.Join(first, "relative.ome.tiff")),
		os.Symlink(outside, filepath.Join(first, "folder out")),
		os.Symlink(filepath.Join("folder out", "secret.ome.tiff"), filepath.Join(first, "twice.ome.tiff")),
		os.Symlink("loop.ome.tiff", filepath.Join(first, "loop.ome.tiff")),
		os.Symlink("nothing.ome.tiff", filepath.Join(first, "dead.ome.tiff")),
	)
	want := []string{"a.ome.tiff", "b.ome.tiff", "inside.ome.tiff", "other folder.ome.tiff"}
	if diff := cmp.Diff(want, names(t, open(t, first, second))); diff != "" {
		t.Error(diff)
	}
	// The folder itself may be reached by a link.
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(second, link))
	if diff := cmp.Diff([]string{"b.ome.tiff"}, names(t, open(t, link))); diff != "" {
		t.Error(diff)
	}
}

// A file that is replaced by a link that leads out is gone.
func TestLinksAreConfinedLater(t *testing.T) {
	outside, folder := t.TempDir(), t.TempDir()
	writeSlide(t, filepath.Join(outside, "secret.ome.tiff"), 300, 200, 0)
	for _, name := range []string{"a.ome.tiff", "b.ome.tiff"} {
		writeSlide(t, filepath.Join(folder, name), 300, 200, 0)
	}
	c := open(t, folder)
	list, err := c.List(t.Context())
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("there are %d slides", len(list))
	}
	path := filepath.Join(folder, "a.ome.tiff")
	must(t, os.Remove(path), os.Symlink(filepath.Join(outside, "secret.ome.tiff"), path),
		os.Remove(filepath.Join(folder, "b.ome.tiff")))
	for _, s := range list {
		s.Forget()
		_, metaErr := s.Meta(t.Context())
		_, pathErr := s.Path()
		_, tagErr := s.Tag()
		_, freshErr := s.OpenFresh()
		_, partErr := s.Encode(t.Context(), catalogue.Part{Rect: image.Rect(0, 0, 9, 9), Width: 9, Height: 9, Format: "PNG"})
		for _, err := range []error{metaErr, pathErr, tagErr, freshErr, partErr} {
			if !errors.Is(err, catalogue.ErrNotFound) {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
	}
}

func TestFind(t *testing.T) {
	folder := t.TempDir()
	writeSlide(t, filepath.Join(folder, "a.ome.tiff"), 300, 200, 0)
	c := open(t, folder)
	list, err := c.List(t.Context())
	must(t, err)
	s, err := c.Find(t.Context(), list[0].ID)
	if err != nil || s != list[0] {
		t.Errorf("%v, %v", s, err)
	}
	for _, id := range []string{"", "..", "a.ome.tiff", "AAAAAAAAAAAAAAAAAAAAAA", list[0].ID + "A"} {
		if _, err := c.Find(t.Context(), id); !errors.Is(err, catalogue.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := catalogue.New(catalogue.Options{Folders: []string{filepath.Join(folder, "none")}}); err == nil {
		t.Error("a folder that isn't there is accepted")
	}
	if _, err := catalogue.New(catalogue.Options{Folders: []string{filepath.Join(folder, "a.ome.tiff")}}); err == nil {
		t.Error("a file is accepted as a folder")
	}
	must(t, os.RemoveAll(folder))
	if _, err := c.List(t.Context()); !errors.Is(err, catalogue.ErrFolder) {
		t.Errorf("the folder is gone: %v", err)
	}
}

// Level n of Deep Zoom has the pixels of level 0, averaged or not, and the tiles of a level fill it.
func TestDeepZoomCoversTheImage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := catalogue.DeepZoom{
			Width: rapid.IntRange(1, 1<<17).Draw(t, "width"), Height: rapid.IntRange(1, 1<<17).Draw(t, "height"),
		}
		if w, h := d.Size(d.Levels() - 1); w != d.Width || h != d.Height {
			t.Fatalf("the last level has %d×%d", w, h)
		}
		if w, h := d.Size(0); w != 1 || h != 1 {
			t.Fatalf("the first level has %d×%d", w, h)
		}
		level := rapid.IntRange(0, d.Levels()-1).Draw(t, "level")
		w, h := d.Size(level)
		scale := 1 << (d.Levels() - 1 - level)
		columns, rows := (w+255)/256, (h+255)/256
		for _, at := range [][2]int{{0, 0}, {columns - 1, 0}, {0, rows - 1}, {columns - 1, rows - 1}} {
			p, ok := d.Tile(level, at[0], at[1], 80)
			want := image.Rect(0, 0, 256, 256).Add(image.Pt(at[0]*256, at[1]*256)).Intersect(image.Rect(0, 0, w, h))
			if !ok || p.Width != want.Dx() || p.Height != want.Dy() || p.Rect.Min != want.Min.Mul(scale) ||
				p.Rect.Size() != want.Size().Mul(scale) {
				t.Fatalf("tile %v is %v, %t; want %v × %d", at, p, ok, want, scale)
			}
		}
		for _, at := range [][2]int{{columns, 0}, {0, rows}, {-1, 0}, {0, -1}} {
			if _, ok := d.Tile(level, at[0], at[1], 80); ok {
				t.Fatalf("there is a tile %v", at)
			}
		}
	})
}

// Parts have the pixels of the slide.
func TestEncode(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.ome.tiff")
	writeSlide(t, path, 1300, 700, 0)
	c := open(t, folder)
	list, err := c.List(t.Context())
	must(t, err)
	s := list[0]
	direct, err := slide.Open(path, slide.Options{})
	must(t, err)
	defer direct.Close()
	d := catalogue.DeepZoom{Width: 1300, Height: 700}
	for _, at := range [][3]int{{11, 0, 0}, {11, 5, 2}, {10, 2, 1}, {9, 0, 0}, {0, 0, 0}} {
		p, ok := d.Tile(at[0], at[1], at[2], 80)
		if !ok {
			t.Fatalf("there is no tile %v", at)
		}
		p.Format = imagefile.PNG
		data, err := s.Encode(t.Context(), p)
		must(t, err)
		got, err := imagefile.Decode(data, imagefile.Options{})
		must(t, err)
		want, err := direct.ReadRegion(t.Context(), p.Rect, p.Width, p.Height)
		must(t, err)
		if !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("tile %v: the pixels differ", at)
		}
		if at[0] == 11 { // pixels as they are
			if x, y := p.Rect.Min.X+7, p.Rect.Min.Y+5; !bytes.Equal(got.Pix[3*(5*p.Width+7):][:3],
				[]byte{uint8(x), uint8(y), uint8(x * y / 64)}) {
				t.Errorf("tile %v: the pixel (7, 5) is %v", at, got.Pix[3*(5*p.Width+7):][:3])
			}
		}
	}
	if _, err := s.Encode(t.Context(), catalogue.Part{Width: 1 << 13, Height: 1 << 12}); err == nil {
		t.Error("a part with too many pixels is made")
	}
}

// Mirrored first and then turned clockwise, as IIIF has it.
func TestChanges(t *testing.T) {
	folder := t.TempDir()
	writeSlide(t, filepath.Join(folder, "a.ome.tiff"), 40, 30, 0)
	c := open(t, folder)
	list, err := c.List(t.Context())
	must(t, err)
	part := func(change catalogue.Change) *imagefile.Image {
		t.Helper()
		data, err := list[0].Encode(t.Context(), catalogue.Part{
			Rect: image.Rect(0, 0, 40, 30), Width: 40, Height: 30, Change: change, Format: imagefile.PNG,
		})
		must(t, err)
		img, err := imagefile.Decode(data, imagefile.Options{})
		must(t, err)
		return img
	}
	for _, test := range []struct {
		change catalogue.Change
		w, h   int
		at     image.Point // where the pixel (3, 1) of 40×30 is
	}{
		{catalogue.Change{}, 40, 30, image.Pt(3, 1)},
		{catalogue.Change{Turn: 90}, 30, 40, image.Pt(28, 3)},
		{catalogue.Change{Turn: 180}, 40, 30, image.Pt(36, 28)},
		{catalogue.Change{Turn: 270}, 30, 40, image.Pt(1, 36)},
		{catalogue.Change{Mirror: true}, 40, 30, image.Pt(36, 1)},
		{catalogue.Change{Mirror: true, Turn: 90}, 30, 40, image.Pt(28, 36)},
		{catalogue.Change{Mirror: true, Turn: 180}, 40, 30, image.Pt(3, 28)},
	} {
		img := part(test.change)
		if img.Width != test.w || img.Height != test.h {
			t.Errorf("%+v: %d×%d", test.change, img.Width, img.Height)
			continue
		}
		if got := img.Pix[3*(test.at.Y*img.Width+test.at.X):][:3]; !bytes.Equal(got, []byte{3, 1, 0}) {
			t.Errorf("%+v: %v is %v", test.change, test.at, got)
		}
	}
	grey, bitonal := part(catalogue.Change{Colour: catalogue.Grey}), part(catalogue.Change{Colour: catalogue.Bitonal})
	for i := 0; i < len(grey.Pix); i += 3 {
		x, y := i/3%40, i/3/40
		luma := 0.299*float64(x) + 0.587*float64(y) + 0.114*float64(x*y/64)
		if v := float64(grey.Pix[i]); v < luma-0.51 || v > luma+0.51 || grey.Pix[i+1] != grey.Pix[i] {
			t.Fatalf("grey: (%d, %d) is %v; want %.1f", x, y, grey.Pix[i:i+3], luma)
		}
		if bitonal.Pix[i] != 0 {
			t.Fatalf("bitonal: (%d, %d) is %v, though it is dark", x, y, bitonal.Pix[i:i+3])
		}
	}
}

// A file that changes is another one, also for those who still read the old one.
func TestFilesChange(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.ome.tiff")
	writeSlide(t, path, 300, 200, 0)
	c := open(t, folder)
	list, err := c.List(t.Context())
	must(t, err)
	s := list[0]
	old, release, err := s.Open(t.Context())
	must(t, err)
	defer release()
	tag, err := s.Tag()
	must(t, err)
	writeSlide(t, path, 310, 200, 50)
	later := time.Now().Add(time.Hour)
	must(t, os.Chtimes(path, later, later))
	s.Forget()
	m, err := s.Meta(t.Context())
	if err != nil || m.Width != 310 {
		t.Errorf("the width is %d, %v", m.Width, err)
	}
	if other, err := s.Tag(); err != nil || other == tag {
		t.Errorf("the tag is the same, %v", err)
	}
	if img, err := old.ReadRegion(t.Context(), image.Rect(0, 0, 4, 4), 4, 4); err != nil || img.Pix[0] != 0 {
		t.Errorf("the old file can't be read: %v", err)
	}
}

// However many slides are read, few stay open; those in use are never closed.
func TestOpenSlidesAreBounded(t *testing.T) {
	folder := t.TempDir()
	for i := range 40 {
		writeSlide(t, filepath.Join(folder, fmt.Sprintf("%02d.ome.tiff", i)), 64, 64, uint8(i))
	}
	c := open(t, folder)
	list, err := c.List(t.Context())
	must(t, err)
	var readers sync.WaitGroup
	for n := range 8 {
		readers.Go(func() {
			for i := range list {
				s := list[(i*7+n*5)%len(list)]
				opened, release, err := s.Open(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				img, err := opened.ReadRegion(t.Context(), image.Rect(0, 0, 2, 2), 2, 2)
				if err != nil || fmt.Sprintf("%02d.ome.tiff", img.Pix[0]) != s.Name {
					t.Errorf("%s: %v, %v", s.Name, img, err)
				}
				release()
				release() // once is enough
			}
		})
	}
	readers.Wait()
	if n := c.Statistics().Open; n > 16+8 {
		t.Errorf("%d slides are open", n)
	}
}

// A damaged file has an error that says so, and stays one.
func TestBrokenFiles(t *testing.T) {
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "Jane Doe.svs"), []byte("II*\x00 this is no TIFF file"), 0o644),
		os.WriteFile(filepath.Join(folder, "empty.tif"), nil, 0o644))
	c := open(t, folder)
	list, err := c.List(t.Context())
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("there are %d slides", len(list))
	}
	for _, s := range list {
		for range 2 {
			_, err := s.Meta(t.Context())
			if err == nil {
				t.Fatalf("%s can be read", s.Name)
			}
			text := s.Scrub(err.Error())
			if strings.Contains(text, "Jane") || strings.Contains(text, folder) {
				t.Errorf("the error has the name: %s", text)
			}
		}
	}
}

// The ends of contexts.
func TestCancelled(t *testing.T) {
	folder := t.TempDir()
	writeSlide(t, filepath.Join(folder, "a.ome.tiff"), 300, 200, 0)
	c := open(t, folder)
	list, err := c.List(t.Context())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	part := catalogue.Part{Rect: image.Rect(0, 0, 9, 9), Width: 9, Height: 9, Format: imagefile.PNG}
	if _, err := list[0].Encode(ctx, part); !errors.Is(err, context.Canceled) {
		t.Errorf("Encode: %v", err)
	}
	if _, _, err := list[0].Open(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	if _, err := c.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("List: %v", err)
	}
	if _, err := list[0].Encode(t.Context(), part); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// What is dropped is closed as soon as nobody reads it, and can be opened again.
func TestDrop(t *testing.T) {
	folder := t.TempDir()
	writeSlide(t, filepath.Join(folder, "a.ome.tiff"), 300, 200, 0)
	c := open(t, folder)
	list, err := c.List(t.Context())
	must(t, err)
	id := list[0].ID
	s, release, err := list[0].Open(t.Context())
	must(t, err)
	c.Drop(id)
	c.Drop(id) // once is enough
	c.Drop("none")
	read := func() error {
		_, err := s.ReadRegion(t.Context(), image.Rect(0, 0, 4, 4), 4, 4)
		return err
	}
	if err := read(); err != nil || c.Statistics().Open != 0 {
		t.Errorf("while it is read: %v, %d are open", err, c.Statistics().Open)
	}
	release()
	if err := s.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("afterwards it is not closed: %v", err)
	}
	_, release, err = list[0].Open(t.Context())
	must(t, err)
	release()
}
