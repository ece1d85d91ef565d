package imagefile

import (
	"errors"
	"fmt"
)

// Image is an image in 8-bit sRGB.
type Image struct {
	Width, Height int
	Pix           []uint8 // RGB [H,W,3], row by row without gaps

	// Notes say what reading changed that a user may want to know, such as a converted colour profile.
	Notes []string
}

// Check returns an error for an image that is nil, empty, or has another number of values than its size says.
func (img *Image) Check() error {
	switch {
	case img == nil:
		return errors.New("the image is nil")
	case img.Width < 1 || img.Height < 1 || len(img.Pix) != 3*img.Width*img.Height:
		return fmt.Errorf("an image of %d×%d pixels has %d values, want three for each pixel, and at least one pixel",
			img.Width, img.Height, len(img.Pix))
	}
	return nil
}

// New returns a black image.
func New(width, height int) *Image {
	return &Image{Width: width, Height: height, Pix: make([]uint8, 3*width*height)}
}
