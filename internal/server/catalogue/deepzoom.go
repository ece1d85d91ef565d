package catalogue

import (
	"image"
	"math/bits"

	"github.com/histdist/histdist/data/imagefile"
)

// TileSize is the side of tiles in pixels. They don't overlap.
const TileSize = 256

// DeepZoom is an image as Microsoft's format has it: level Levels−1 has all its pixels, each level before it half as
// many in x and y, down to one pixel in level 0.
type DeepZoom struct{ Width, Height int }

// Levels is their number.
func (d DeepZoom) Levels() int { return bits.Len(uint(max(d.Width, d.Height)-1)) + 1 }

// Size is that of a level in pixels.
func (d DeepZoom) Size(level int) (width, height int) {
	n := d.factor(level)
	return (d.Width + n - 1) / n, (d.Height + n - 1) / n
}

// factor is how many pixels of the image a pixel of a level shows in x and y.
func (d DeepZoom) factor(level int) int { return 1 << (d.Levels() - 1 - level) }

// Tile returns a tile; ok is false if there is none.
func (d DeepZoom) Tile(level, column, row, quality int) (p Part, ok bool) {
	if level < 0 || level >= d.Levels() || column < 0 || row < 0 {
		return Part{}, false
	}
	width, height := d.Size(level)
	if column > (width-1)/TileSize || row > (height-1)/TileSize {
		return Part{}, false
	}
	x, y := column*TileSize, row*TileSize
	w, h := min(TileSize, width-x), min(TileSize, height-y)
	n := d.factor(level)
	return Part{
		Rect:  image.Rect(x*n, y*n, (x+w)*n, (y+h)*n), // the last column may reach beyond the image
		Width: w, Height: h, Format: imagefile.JPEG, Quality: quality,
	}, true
}
