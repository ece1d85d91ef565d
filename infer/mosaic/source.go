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
