package pillow

// nearest is Pillow's ImagingScaleAffine.
func nearest(src Image, height, width int) Image {
	dst := newImage(height, width, src.Channels)
	rows, columns := positions(src.Height, height), positions(src.Width, width)
	c := src.Channels
	inParallel(height, width*c, func(from, to int) {
		for y := from; y < to; y++ {
			in, out := src.Pix[rows[y]*src.Width*c:][:src.Width*c], dst.Pix[y*width*c:][:width*c]
			for x, column := range columns {
				copy(out[x*c:][:c], in[column*c:])
			}
		}
	})
	return dst
}

// positions returns which of in pixels each of out pixels shows. Like Pillow it accumulates steps with their rounding
// errors, which stay below half a step for any side up to maxSide.
func positions(in, out int) []int {
	scale := float64(in) / float64(out)
	at := scale * 0.5
	p := make([]int, out)
	for i := range p {
		p[i] = int(at)
		at += scale
	}
	return p
}
