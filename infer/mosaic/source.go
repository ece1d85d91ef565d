package mosaic

import (
	"context"
	"fmt"

	"github.com/histdist/histdist/data/imagefile"
)

// Rect is a rectangle of pixels.
type Rect struct{ X, Y, Width, Height int }

// Source is an H&E image at the model's resolution, of any size.
type Source interface {
	Size() (width, height int)
	// Read returns the pixels of a rectangle inside the image.
	Read(ctx context.Context, r Rect) (*imagefile.Image, error)
}

// windowReader reads the windows of a canvas in their order: a row of them at once, for they overlap, and a source
// reads a large part on all processors.
type windowReader struct {
	source Source
	tiles  []tile
	at     Rect // what band shows
	band   Memory
}

// bandPixels is how wide the part of a row is that is read at once, unless a window is wider.
const bandPixels = 8192

func (w *windowReader) read(ctx context.Context, i int) (*imagefile.Image, error) {
	r := w.tiles[i].pixels
	if !w.at.holds(r) {
		band := r
		for _, t := range w.tiles[i+1:] {
			end := t.pixels.X + t.pixels.Width
			if t.pixels.Y != r.Y || t.pixels.Height != r.Height || t.pixels.X < r.X || t.pixels.X > band.X+band.Width ||
				end-band.X > bandPixels {
				break
			}
			band.Width = max(band.Width, end-band.X)
		}
		img, err := w.source.Read(ctx, band)
		if err != nil {
			return nil, err
		}
		w.at, w.band = band, Memory{img}
	}
	return w.band.Read(ctx, Rect{r.X - w.at.X, r.Y - w.at.Y, r.Width, r.Height})
}

func (r Rect) holds(other Rect) bool {
	return other.X >= r.X && other.Y >= r.Y && other.X+other.Width <= r.X+r.Width && other.Y+other.Height <= r.Y+r.Height
}

// Sink takes a stain row by row. What it makes of them appears when its owner closes it, after the last row.
type Sink interface {
	// Write takes the next rows: RGB [n,width,3]. They are the caller's again when it returns.
	Write(ctx context.Context, rows []uint8) error
}

// Memory is a Source of an image in memory.
type Memory struct{ *imagefile.Image }

// Size is the image's.
func (m Memory) Size() (width, height int) { return m.Width, m.Height }

// Read copies a part.
func (m Memory) Read(_ context.Context, r Rect) (*imagefile.Image, error) {
	if r.X < 0 || r.Y < 0 || r.Width < 1 || r.Height < 1 || r.X+r.Width > m.Width || r.Y+r.Height > m.Height {
		return nil, fmt.Errorf("%d×%d pixels at %d, %d of an image of %d×%d", r.Width, r.Height, r.X, r.Y, m.Width, m.Height)
	}
	part := imagefile.New(r.Width, r.Height)
	for y := range r.Height {
		at := ((r.Y+y)*m.Width + r.X) * 3
		copy(part.Pix[y*r.Width*3:(y+1)*r.Width*3], m.Pix[at:])
	}
	return part, nil
}
