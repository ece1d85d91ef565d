package tiff

// reduce halves a tile RGB [size,size,3] by the mean of 2×2 pixels, rounded, into the quarter of another tile that
// begins at column x and row y.
func reduce(into, tile []uint8, size, x, y int) {
	half := size / 2
	for row := range half {
		upper := tile[2*row*size*3:][:size*3]
		lower := tile[(2*row+1)*size*3:][:size*3]
		out := into[((y+row)*size+x)*3:][:half*3]
		for len(out) >= 3 && len(upper) >= 6 && len(lower) >= 6 {
			u, l := upper[:6:6], lower[:6:6]
			out[0] = uint8((uint32(u[0]) + uint32(u[3]) + uint32(l[0]) + uint32(l[3]) + 2) >> 2)
			out[1] = uint8((uint32(u[1]) + uint32(u[4]) + uint32(l[1]) + uint32(l[4]) + 2) >> 2)
			out[2] = uint8((uint32(u[2]) + uint32(u[5]) + uint32(l[2]) + uint32(l[5]) + 2) >> 2)
			out, upper, lower = out[3:], upper[6:], lower[6:]
		}
	}
}

// extend repeats the last column and row of a tile RGB [size,size,3] that has only width×height pixels.
func extend(tile []uint8, size, width, height int) {
	for row := range height {
		line := tile[row*size*3:][:size*3]
		for at := 3 * width; at < len(line); at++ {
			line[at] = line[at-3]
		}
	}
	last := tile[(height-1)*size*3:][:size*3]
	for row := height; row < size; row++ {
		copy(tile[row*size*3:], last)
	}
}

// fill makes a tile one colour.
func fill(tile []uint8, colour [3]uint8) {
	copy(tile, colour[:])
	for n := 3; n < len(tile); n *= 2 {
		copy(tile[n:], tile[:n])
	}
}
