package pillow

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	"github.com/histdist/histdist/internal/parallel"
)

// Image is an 8-bit image: Pix [Height,Width,Channels] with 1 channel (Pillow's mode L) or 3 (RGB).
type Image struct {
	Pix                     []uint8
	Height, Width, Channels int
}

func newImage(height, width, channels int) Image {
	return Image{Pix: make([]uint8, height*width*channels), Height: height, Width: width, Channels: channels}
}

// ErrImage is wrapped by the errors of Resize about an image or a size that can't be.
var ErrImage = errors.New("bad image")

// maxSide keeps sizes within what Pillow's single-precision box holds exactly.
const maxSide = 1 << 24

// Part is a rectangle in an image, its edges in pixels, which need not be whole.
type Part struct{ X0, Y0, X1, Y1 float64 }

// Resize returns a resized copy of src, like Pillow's src.resize((width, height), filter), in parallel. Sizes below 1
// or above 2²⁴, a Pix of the wrong length and unknown filters are errors.
func Resize(src Image, width, height int, filter Filter) (Image, error) {
	return ResizePart(src, Part{0, 0, float64(src.Width), float64(src.Height)}, width, height, filter)
}

// ResizePart resizes what is in the part, like Pillow's src.resize((width, height), filter, box): where the filter
// reaches beyond the part it sees src, so parts of an image that are resized on their own fit together. The part must
// lie in src and not be empty. Nearest has no parts. Pillow computes with the box in single precision, this in double,
// and with a part that is not all of src always horizontally first: the order must not depend on how an image is cut.
func ResizePart(src Image, part Part, width, height int, filter Filter) (Image, error) {
	if err := src.check(); err != nil {
		return Image{}, fmt.Errorf("pillow: resize: %w", err)
	}
	if height < 1 || width < 1 || height > maxSide || width > maxSide || height > math.MaxInt/8/width {
		return Image{}, fmt.Errorf("pillow: resize to %d×%d: %w: want sides of 1 to %d", width, height, ErrImage, maxSide)
	}
	k, ok := filter.kernel()
	switch {
	case !ok && filter != Nearest:
		return Image{}, fmt.Errorf("pillow: resize: unknown %v, want 0 (nearest) to %d (%v)", filter, Hamming, Hamming)
	case !(part.X0 >= 0 && part.Y0 >= 0 && part.X1 > part.X0 && part.Y1 > part.Y0 &&
		part.X1 <= float64(src.Width) && part.Y1 <= float64(src.Height)):
		return Image{}, fmt.Errorf("pillow: resize: %w: the part %v is not in an image of %d×%d pixels",
			ErrImage, part, src.Width, src.Height)
	}
	whole := part == Part{0, 0, float64(src.Width), float64(src.Height)}
	switch {
	case whole && height == src.Height && width == src.Width:
		return Image{Pix: slices.Clone(src.Pix), Height: height, Width: width, Channels: src.Channels}, nil
	case !whole && filter == Nearest:
		return Image{}, fmt.Errorf("pillow: resize: %w: the filter nearest has no parts", ErrImage)
	case filter == Nearest:
		return nearest(src, height, width), nil
	}
	shrinkY, shrinkX := src.Height-height, src.Width-width
	if whole && shrinkY > 0 && shrinkY > 2*shrinkX {
		return resizeX(resizeY(src, part, height, k), part, width, k), nil
	}
	return resizeY(resizeX(src, part, width, k), part, height, k), nil
}

func resizeX(src Image, part Part, width int, k kernel) Image {
	if width == src.Width && part.X0 == 0 && part.X1 == float64(width) {
		return src
	}
	return horizontal(src, newWeights(src.Width, part.X0, part.X1, width, k))
}

func resizeY(src Image, part Part, height int, k kernel) Image {
	if height == src.Height && part.Y0 == 0 && part.Y1 == float64(height) {
		return src
	}
	return vertical(src, newWeights(src.Height, part.Y0, part.Y1, height, k))
}

func (m Image) check() error {
	switch {
	case m.Channels != 1 && m.Channels != 3:
		return fmt.Errorf("%w: %d channels, want 1 (L) or 3 (RGB)", ErrImage, m.Channels)
	case m.Height < 1 || m.Width < 1 || m.Height > maxSide || m.Width > maxSide:
		return fmt.Errorf("%w: %d×%d pixels, want sides of 1 to %d", ErrImage, m.Width, m.Height, maxSide)
	case len(m.Pix) != m.Height*m.Width*m.Channels:
		return fmt.Errorf("%w: %d bytes, want %d for %d×%d pixels of %d channels",
			ErrImage, len(m.Pix), m.Width*m.Height*m.Channels, m.Width, m.Height, m.Channels)
	}
	return nil
}

// inParallel runs work for parts of the rows on as many processors as are worth it: a goroutine costs about 16 Ki steps
// of a row.
func inParallel(rows, steps int, work func(from, to int)) {
	parts := max(1, min(runtime.GOMAXPROCS(0), rows, rows*steps>>14))
	parallel.Ranges(rows, (rows+parts-1)/parts, work)
}
