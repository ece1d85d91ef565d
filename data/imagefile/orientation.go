package imagefile

// oriented returns the image upright, given its Exif orientation. Row and column 0 of the file are: 1 top, left; 2 top,
// right; 3 bottom, right; 4 bottom, left; 5 left, top; 6 right, top; 7 right, bottom; 8 left, bottom (TIFF 6.0).
func oriented(width, height int, pix []uint8, orientation int) (int, int, []uint8) {
	if orientation == 1 {
		return width, height, pix
	}
	// Step through the file's pixels where the result's columns (dx) and rows (dy) go.
	var start, dx, dy int
	last, bottom := width-1, (height-1)*width
	switch orientation {
	case 2:
		start, dx, dy = last, -1, width
	case 3:
		start, dx, dy = bottom+last, -1, -width
	case 4:
		start, dx, dy = bottom, 1, -width
	case 5:
		start, dx, dy = 0, width, 1
	case 6:
		start, dx, dy = bottom, -width, 1
	case 7:
		start, dx, dy = bottom+last, -width, -1
	case 8:
		start, dx, dy = last, width, -1
	}
	newWidth, newHeight := width, height
	if turned(orientation) {
		newWidth, newHeight = height, width
	}
	out := make([]uint8, 0, len(pix))
	for y := range newHeight {
		at := start + y*dy
		for range newWidth {
			out = append(out, pix[3*at:3*at+3]...)
			at += dx
		}
	}
	return newWidth, newHeight, out
}

// turned reports whether an orientation swaps width and height.
func turned(orientation int) bool { return orientation >= 5 }
