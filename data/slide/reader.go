package slide

import (
	"context"
	"image"

	"github.com/histdist/histdist/data/imagefile"
)

// Reader reads the pixels of a slide as they are stored. It may be used by several goroutines.
type Reader interface {
	// Info returns what is known without reading pixels, the same each time.
	Info() Info

	// Read decodes the rectangle r, which is in a level, into pix, RGB [r.Dy(),r.Dx(),3]. What was not scanned is the
	// slide's background, usually white.
	Read(ctx context.Context, pix []uint8, level int, r image.Rectangle) error

	// Associated reads one of the images that Info names.
	Associated(ctx context.Context, name string) (*imagefile.Image, error)

	Close() error
}

// Info is what a file says of a slide.
type Info struct {
	Reader        string     // what reads it, with its version
	Vendor        string     // the format, as OpenSlide calls it
	Levels        []Level    // at least one, largest first
	MPP           [2]float64 // µm a pixel of level 0 in x and y; 0 if it is unknown
	Magnification float64    // of the objective; 0 if it is unknown
	Properties    []Property // everything else, by name
	ICC           []byte     // colour profile of the levels; nil without one
	Associated    []string   // names of other images, such as label and macro
	Notes         []string   // what a user may want to know of how it is read
}

// Level is a version of the slide.
type Level struct {
	Width, Height int
	Downsample    [2]float64 // pixels of level 0 a pixel, in x and y
}

// Property is a text about a slide.
type Property struct{ Name, Value string }
