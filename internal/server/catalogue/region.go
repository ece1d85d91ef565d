package catalogue

import (
	"context"
	"errors"
	"fmt"
	"image"
	"strconv"
	"time"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide/tissue"
)

// Limits of regions in pixels: 4096 × 4096, 50 MB as RGB, and JPEG's of the sides.
const (
	MaxPixels = 1 << 24
	MaxSide   = 65535
)

const (
	largePixels = 1 << 20 // regions with more are made one at a time

	// maxTime limits the making of a region: one at a low resolution of a slide without levels reads all of it.
	maxTime = time.Minute
)

// Part is a rectangle of a slide at a resolution, and how it is written.
type Part struct {
	Rect          image.Rectangle // of level 0
	Width, Height int             // to which it is resized
	Change        Change
	Format        imagefile.Format // JPEG or PNG
	Quality       int              // of JPEG
}

// Change is what is done to the pixels of a part, in this order.
type Change struct {
	Mirror bool   // left to right
	Turn   int    // clockwise: 0, 90, 180 or 270 degrees
	Colour Colour // what is left of the colours
}

// Colour says what is left of an image's colours.
type Colour int

// All of it, its luma, or black and white.
const (
	Coloured Colour = iota
	Grey
	Bitonal
)

// key is the part as a text.
func (p Part) key() string { return fmt.Sprintf("%v", p) }

// Tag identifies what Encode returns for a part, without making it.
func (s *Slide) PartTag(p Part) (string, error) {
	content, err := s.Tag()
	if err != nil {
		return "", err
	}
	return s.catalogue.digest("part", content, p.key()), nil
}

// Encode returns a part as a file. What lies outside the slide is white.
func (s *Slide) Encode(ctx context.Context, p Part) ([]byte, error) {
	if p.Width < 1 || p.Height < 1 || max(p.Width, p.Height) > MaxSide || p.Height > MaxPixels/p.Width {
		return nil, fmt.Errorf("a region of %d×%d pixels; want 1 to %d", p.Width, p.Height, MaxPixels)
	}
	tag, err := s.PartTag(p)
	if err != nil {
		return nil, err
	}
	return s.catalogue.cache.get(ctx, tag, p.Width*p.Height > largePixels, func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, maxTime)
		defer cancel()
		opened, release, err := s.Open(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
		img, err := opened.ReadRegion(ctx, p.Rect, p.Width, p.Height)
		if err != nil {
			return nil, err
		}
		return imagefile.Encode(p.Change.apply(img), p.Format, imagefile.WriteOptions{Quality: p.Quality})
	})
}

// apply returns a changed image.
func (c Change) apply(img *imagefile.Image) *imagefile.Image {
	if c.Mirror || c.Turn != 0 {
		img = turned(img, c.Mirror, c.Turn)
	}
	if c.Colour != Coloured {
		for i := 0; i < len(img.Pix); i += 3 {
			p := img.Pix[i : i+3]
			v := uint8((19595*uint32(p[0]) + 38470*uint32(p[1]) + 7471*uint32(p[2]) + 1<<15) >> 16) // BT.601's luma
			if c.Colour == Bitonal {
				v = uint8(int8(v) >> 7) // 0 up to 127, else 255
			}
			p[0], p[1], p[2] = v, v, v
		}
	}
	return img
}

// turned mirrors an image left to right and then turns it clockwise.
func turned(img *imagefile.Image, mirror bool, degrees int) *imagefile.Image {
	w, h := img.Width, img.Height
	out := imagefile.New(w, h)
	if degrees%180 != 0 {
		out = imagefile.New(h, w)
	}
	for y := range h {
		for x := range w {
			at := 3 * (y*w + x)
			column, row := x, y
			if mirror {
				column = w - 1 - x
			}
			switch degrees {
			case 90:
				column, row = h-1-row, column
			case 180:
				column, row = w-1-column, h-1-row
			case 270:
				column, row = row, w-1-column
			}
			copy(out.Pix[3*(row*out.Width+column):][:3], img.Pix[at:at+3])
		}
	}
	return out
}

// Associated returns another image of the slide, such as its label, as JPEG; ErrNotFound if it has none of that name.
func (s *Slide) Associated(ctx context.Context, name string, quality int) (data []byte, tag string, err error) {
	content, err := s.Tag()
	if err != nil {
		return nil, "", err
	}
	tag = s.catalogue.digest("associated", content, name, strconv.Itoa(quality))
	data, err = s.catalogue.cache.get(ctx, tag, true, func(ctx context.Context) ([]byte, error) {
		opened, release, err := s.Open(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
		img, err := opened.Associated(ctx, name)
		if err != nil {
			return nil, err
		}
		return imagefile.Encode(img, imagefile.JPEG, imagefile.WriteOptions{Quality: quality})
	})
	return data, tag, err
}

// Tissue returns the outlines of the tissue, found by its colour, as GeoJSON in pixels of level 0.
func (s *Slide) Tissue(ctx context.Context) (data []byte, tag string, err error) {
	content, err := s.Tag()
	if err != nil {
		return nil, "", err
	}
	tag = s.catalogue.digest("tissue", content)
	data, err = s.catalogue.cache.get(ctx, tag, true, func(ctx context.Context) ([]byte, error) {
		opened, release, err := s.Open(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
		m, err := tissue.Choose(ctx, opened, tissue.Auto)
		if errors.Is(err, tissue.ErrNone) {
			return tissue.GeoJSON(nil)
		}
		if err != nil {
			return nil, err
		}
		var areas []tissue.Area
		for _, p := range m.Polygons() {
			areas = append(areas, tissue.Area{Class: "Tissue", Polygon: p})
		}
		return tissue.GeoJSON(areas)
	})
	return data, tag, err
}
