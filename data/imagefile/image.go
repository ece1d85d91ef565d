package imagefile

// Image is a picture in 8-bit sRGB.
type Image struct {
	Width, Height int
	Pix           []uint8 // RGB [H,W,3], row by row without gaps

	// Notes tell what reading changed in a way that a user may want to know, such as a colour profile that was converted.
	Notes []string
}

// New returns a black picture.
func New(width, height int) *Image {
	return &Image{Width: width, Height: height, Pix: make([]uint8, 3*width*height)}
}
