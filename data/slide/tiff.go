package slide

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/tiff"
)

const (
	// maxStrip limits a strip or tile that has to be decoded as a whole for any of its pixels, as the single JPEG
	// strips of Hamamatsu's files have.
	maxStrip = 1 << 26

	// maxCached limits a strip or tile that is kept.
	maxCached = 1 << 22
)

// tiffSlide is a slide that package tiff reads.
type tiffSlide struct {
	file       *os.File
	info       Info
	levels     []*tiff.Page
	associated map[string]*tiff.Page
	tiles      tileCache
}

// otherVendors are formats built on TIFF that mean something else than TIFF says: OpenSlide knows what.
var otherVendors = []struct {
	name string
	is   func(first *tiff.Page, description string) bool
}{
	{"Hamamatsu NDPI", func(p *tiff.Page, _ string) bool { return p.Has(65420) }},
	{"Leica SCN", func(_ *tiff.Page, text string) bool { return strings.Contains(text, "leica-microsystems.com/scn") }},
	{"Philips TIFF", func(_ *tiff.Page, text string) bool { return strings.Contains(text, "DPUfsImport") }},
	{"Trestle TIFF", func(p *tiff.Page, _ string) bool {
		software, err := p.Text(tiff.TagSoftware)
		return err == nil && strings.HasPrefix(software, "MedScan")
	}},
	{"Ventana BIF", func(p *tiff.Page, _ string) bool {
		xmp, err := p.Bytes(700)
		return err == nil && strings.Contains(string(xmp), "iScan")
	}},
}

// slideInTIFF reports whether a file is more than an image: see Is.
func slideInTIFF(f *tiff.File) bool {
	description, err := f.Pages[0].Text(tiff.TagImageDescription)
	if err != nil {
		return false
	}
	for _, v := range otherVendors {
		if v.is(f.Pages[0], description) {
			return true
		}
	}
	levels, err := f.Levels()
	return isAperio(description) || isOME(description) || err == nil && (len(levels) > 1 || levels[0].Tiled())
}

// openTIFF opens a TIFF file as a slide.
func openTIFF(path string, cache int) (Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &tiffSlide{file: file, associated: map[string]*tiff.Page{}}
	s.tiles.limit = cmp.Or(cache, tileCacheBytes)
	if err := s.describe(); err != nil {
		_ = file.Close() // only read
		return nil, err
	}
	return s, nil
}

func (s *tiffSlide) describe() error {
	stat, err := s.file.Stat()
	if err != nil {
		return err
	}
	f, err := tiff.Open(s.file, stat.Size())
	if err != nil {
		return err
	}
	description, err := f.Pages[0].Text(tiff.TagImageDescription)
	if err != nil {
		return err
	}
	for _, v := range otherVendors {
		if v.is(f.Pages[0], description) {
			return &formatError{v.name}
		}
	}
	levels, err := f.Levels()
	if err != nil {
		return err
	}
	if err := checkMain(f, levels[0]); err != nil {
		return err
	}
	for _, page := range levels {
		if err := checkPage(page); err != nil && len(s.levels) == 0 {
			return err
		} else if err == nil { // a smaller level that can't be read is made of a larger one
			s.levels = append(s.levels, page)
			s.info.Levels = append(s.info.Levels, Level{Width: page.Width, Height: page.Height})
		}
	}
	factors(s.info.Levels)
	s.info.Reader, s.info.Vendor = "histdist", "tiff"
	if s.info.ICC, err = levels[0].ICC(); err != nil {
		return err
	}
	s.listAssociated(f, levels)
	return s.readMetadata(levels[0])
}

// readMetadata interprets what the slide's page says of itself.
func (s *tiffSlide) readMetadata(page *tiff.Page) error {
	description, err := page.Text(tiff.TagImageDescription)
	if err != nil {
		return err
	}
	if x, y, ok := page.Resolution(); ok {
		s.info.MPP = [2]float64{micronsPerCentimetre / x, micronsPerCentimetre / y}
	}
	switch {
	case isAperio(description):
		s.info.Vendor = "aperio"
		s.info.readAperio(description)
	case isOME(description):
		s.info.Vendor = "ome-tiff"
		if err := s.info.readOME(description); err != nil {
			return err
		}
	case description != "":
		s.info.Properties = append(s.info.Properties, Property{"tiff.ImageDescription", description})
	}
	if software, err := page.Text(tiff.TagSoftware); err == nil && software != "" {
		s.info.Properties = append(s.info.Properties, Property{"tiff.Software", software})
	}
	return nil
}

const micronsPerCentimetre = 1e4

// checkMain refuses a file whose first image is not the slide but its label or an overview.
func checkMain(f *tiff.File, main *tiff.Page) error {
	const muchLarger = 4
	for _, p := range f.Pages {
		if int64(p.Width)*int64(p.Height) > muchLarger*int64(main.Width)*int64(main.Height) {
			return fmt.Errorf("tiff: the first image, %d×%d pixels, is not the slide but perhaps its label: "+
				"page %d has %d×%d pixels", main.Width, main.Height, p.Index+1, p.Width, p.Height)
		}
	}
	description, err := main.Text(tiff.TagImageDescription)
	if err != nil {
		return err
	}
	if name := aperioImage(description); name == "label" || name == "macro" {
		return fmt.Errorf("tiff: the file has no slide: its first image, %d×%d pixels, is the %s",
			main.Width, main.Height, name)
	}
	return nil
}

// checkPage reports why a page can't be read in regions.
func checkPage(page *tiff.Page) error {
	if err := page.Check(); err != nil {
		return err
	}
	width, height := page.TileSize()
	if !page.Tiled() && int64(width)*int64(height) > maxStrip {
		return fmt.Errorf("tiff: strips of %d×%d pixels are too large to read regions from; save it with tiles",
			width, height)
	}
	if page.Orientation() != 1 {
		return errors.New("tiff: the slide is stored turned or mirrored; save it upright")
	}
	return nil
}

// listAssociated names the pages that are no levels.
func (s *tiffSlide) listAssociated(f *tiff.File, levels []*tiff.Page) {
	isLevel := map[[2]int]bool{}
	for _, p := range levels {
		isLevel[[2]int{p.Width, p.Height}] = true
	}
	for _, p := range f.Pages {
		if isLevel[[2]int{p.Width, p.Height}] || checkPage(p) != nil || p.Width*p.Height > maxAssociated {
			continue
		}
		description, err := p.Text(tiff.TagImageDescription)
		name := aperioImage(description)
		switch {
		case err != nil:
			continue
		case name == "" && isAperio(description) && p.Index == 1:
			name = "thumbnail"
		case name == "":
			name = fmt.Sprintf("page %d", p.Index+1)
		}
		if s.associated[name] == nil {
			s.associated[name] = p
			s.info.Associated = append(s.info.Associated, name)
		}
	}
}

func (s *tiffSlide) Info() Info { return s.info }

func (s *tiffSlide) Close() error { return s.file.Close() }

func (s *tiffSlide) Read(ctx context.Context, pix []uint8, level int, r image.Rectangle) error {
	page := s.levels[level]
	width, height := page.TileSize()
	if int64(width)*int64(height) > maxCached {
		read, _, err := imagefile.ReadPage(page, r, false)
		copy(pix, read)
		return err
	}
	return s.tiles.copy(ctx, pix, level, r, width, height, func(column, row int) (image.Rectangle, readTile) {
		at := page.Tile(column, row)
		return at, func() ([]uint8, error) {
			tile, _, err := imagefile.ReadPage(page, at, false)
			return tile, err
		}
	})
}

func (s *tiffSlide) Associated(_ context.Context, name string) (*imagefile.Image, error) {
	page := s.associated[name]
	if page == nil {
		return nil, fmt.Errorf("the slide has no associated image %q; it has %s", name, listed(s.info.Associated))
	}
	pix, _, err := imagefile.ReadPage(page, image.Rect(0, 0, page.Width, page.Height), false)
	if err != nil {
		return nil, err
	}
	return &imagefile.Image{Width: page.Width, Height: page.Height, Pix: pix}, nil
}
