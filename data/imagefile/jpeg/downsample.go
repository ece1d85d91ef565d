package jpeg

// planes converts RGB [H,W,3] to the planes of a frame, as libjpeg's jccolor.c and jcsample.c do: 16 bits of fraction,
// last column and row repeated, 2×2 chroma samples averaged with rounding alternately down and up.
func (f *frame) planes(pix []uint8) {
	luma := &f.components[0]
	full := [3][]uint8{}
	for i := range full {
		full[i] = make([]uint8, luma.stride*luma.rows)
	}
	for y := range luma.rows {
		in := pix[3*f.width*min(y, f.height-1):][:3*f.width]
		at := y * luma.stride
		for x := range luma.stride {
			p := in[3*min(x, f.width-1):]
			r, g, b := int32(p[0]), int32(p[1]), int32(p[2])
			const half, centre = 1 << 15, 128<<16 + 1<<15 - 1
			full[0][at+x] = uint8((19595*r + 38470*g + 7471*b + half) >> 16)
			full[1][at+x] = uint8((-11059*r - 21709*g + 32768*b + centre) >> 16)
			full[2][at+x] = uint8((32768*r - 27439*g - 5329*b + centre) >> 16)
		}
	}
	for i := range f.components {
		c := &f.components[i]
		if c.h == f.hMax {
			c.plane = full[i]
			continue
		}
		c.plane = make([]uint8, c.stride*c.rows)
		for y := range c.rows {
			// Rows below the image repeat its last row of chroma, not the average of repeated pixels.
			source := min(y, c.height-1)
			upper, lower := full[i][2*source*luma.stride:], full[i][(2*source+1)*luma.stride:]
			out := c.plane[y*c.stride:][:c.stride]
			for x := range out {
				sum := int32(upper[2*x]) + int32(upper[2*x+1]) + int32(lower[2*x]) + int32(lower[2*x+1])
				out[x] = uint8((sum + 1 + int32(x&1)) >> 2)
			}
		}
	}
}
