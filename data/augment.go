package data

import (
	"fmt"

	"github.com/histdist/histdist/data/imagefile"
)

// Augmentation is what both images of a pair go through, in this order: a square crop, a flip, a rotation.
type Augmentation struct {
	Top, Left, Size int  // the crop, in pixels
	Flip            bool // left becomes right
	Quarters        int  // quarter turns counter-clockwise, 0 to 3
}

// Apply writes the augmented crop of an image to dst, [Size,Size,3].
func (a Augmentation) Apply(dst []uint8, img *imagefile.Image) error {
	switch {
	case a.Top < 0 || a.Left < 0 || a.Size < 1 || a.Top+a.Size > img.Height || a.Left+a.Size > img.Width:
		return fmt.Errorf("data: a crop of %d pixels at row %d, column %d exceeds the image of %d×%d pixels",
			a.Size, a.Top, a.Left, img.Width, img.Height)
	case a.Quarters < 0 || a.Quarters > 3:
		return fmt.Errorf("data: %d quarter turns; there are 0 to 3", a.Quarters)
	case len(dst) != 3*a.Size*a.Size:
		return fmt.Errorf("data: %d values for a crop of %d×%d pixels, want %d", len(dst), a.Size, a.Size, 3*a.Size*a.Size)
	}
	// Where the crop's pixel for the result's first is, and where its columns and rows go; in pixels of the image.
	row, column := img.Width, 1
	start := a.Top*img.Width + a.Left
	if a.Flip {
		start, column = start+a.Size-1, -1
	}
	last := a.Size - 1
	switch a.Quarters {
	case 1: // the right column becomes the upper row
		start, column, row = start+last*column, row, -column
	case 2:
		start, column, row = start+last*column+last*row, -column, -row
	case 3:
		start, column, row = start+last*row, -row, column
	}
	for y := range a.Size {
		out := dst[3*a.Size*y:][:3*a.Size]
		from := start + y*row
		if column == 1 {
			copy(out, img.Pix[3*from:])
			continue
		}
		for x := 0; x < len(out); x += 3 {
			p := img.Pix[3*from : 3*from+3]
			out[x], out[x+1], out[x+2] = p[0], p[1], p[2]
			from += column
		}
	}
	return nil
}

// drawAugmentation draws the augmentation of a pair in an epoch. size fits into the image.
func drawAugmentation(seed int64, epoch, index, width, height, size int) Augmentation {
	d := newDraws(drawsAugmentation, uint64(seed), uint64(epoch), uint64(index))
	return Augmentation{
		Size: size, Top: d.below(height - size + 1), Left: d.below(width - size + 1),
		Flip: d.below(2) == 1, Quarters: d.below(4),
	}
}
