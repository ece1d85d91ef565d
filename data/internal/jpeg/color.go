package jpeg

// chroma holds the contributions of chroma to red, green and blue with 16 bits of fraction, as libjpeg's jdcolor.c
// does. Green is the sum of two parts before rounding.
type chroma struct {
	crRed, cbBlue    [256]int32
	crGreen, cbGreen [256]int32
}

func newChroma() *chroma {
	t := &chroma{}
	for i := range int32(256) {
		x := i - 128
		t.crRed[i] = (91881*x + 1<<15) >> 16   // 1.402
		t.cbBlue[i] = (116130*x + 1<<15) >> 16 // 1.772
		t.crGreen[i] = -46802 * x              // 0.71414
		t.cbGreen[i] = -22554*x + 1<<15        // 0.34414
	}
	return t
}

// colorSpace is what the components of a file mean.
type colorSpace int

const (
	grey colorSpace = iota
	yCbCr
	rgb
	cmyk
	ycck
)

// colorSpace guesses as libjpeg does (jdapimin.c): from the JFIF and Adobe segments, else from the components' names.
func (d *decoder) colorSpace() colorSpace {
	c := d.frame.components
	switch {
	case len(c) == 1:
		return grey
	case d.conversion == FromYCbCr && len(c) == 3:
		return yCbCr
	case len(c) == 4:
		if d.adobe && d.adobeTransform == 2 {
			return ycck
		}
		return cmyk
	}
	switch {
	case d.jfif:
		return yCbCr
	case d.adobe && d.adobeTransform == 0:
		return rgb
	case d.adobe:
		return yCbCr
	case c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B':
		return rgb
	}
	return yCbCr
}

// rgb makes the image [H,W,3] from the planes.
func (d *decoder) rgb() []uint8 { return d.painted(3, d.rgbRows()) }

// painted makes an image with so many values a pixel of its rows.
func (d *decoder) painted(channels int, row func(out []uint8, y int)) []uint8 {
	f := d.frame
	pix := make([]uint8, channels*f.width*f.height)
	for y := range f.height {
		row(pix[channels*f.width*y:][:channels*f.width], y)
	}
	return pix
}

// rgbRows makes rows of the image, [W,3].
func (d *decoder) rgbRows() func(out []uint8, y int) {
	f := d.frame
	up := f.upsamplers()
	space, table := d.colorSpace(), newChroma()
	var rows [4][]uint8
	return func(out []uint8, y int) {
		for i := range up {
			rows[i] = up[i].row(y)[:f.width]
		}
		switch space {
		case grey:
			for x, v := range rows[0] {
				out[3*x], out[3*x+1], out[3*x+2] = v, v, v
			}
		case yCbCr:
			table.row(out, rows[0], rows[1], rows[2])
		case rgb:
			for x := range rows[0] {
				out[3*x], out[3*x+1], out[3*x+2] = rows[0][x], rows[1][x], rows[2][x]
			}
		case cmyk:
			for x, black := range rows[3] {
				out[3*x] = multiply(rows[0][x], black)
				out[3*x+1] = multiply(rows[1][x], black)
				out[3*x+2] = multiply(rows[2][x], black)
			}
		case ycck:
			table.row(out, rows[0], rows[1], rows[2])
			for x, black := range rows[3] {
				for i := 3 * x; i < 3*x+3; i++ {
					out[i] = multiply(255-out[i], black)
				}
			}
		}
	}
}

// inks returns the image [H,W,4] of four components, taken for inverted as all CMYK files are: see multiply.
func (d *decoder) inks() []uint8 {
	if len(d.frame.components) != 4 {
		return d.rgb()
	}
	return d.painted(4, d.inkRows())
}

// inkRows makes rows of inks, [W,4].
func (d *decoder) inkRows() func(out []uint8, y int) {
	f := d.frame
	up := f.upsamplers()
	space, table := d.colorSpace(), newChroma()
	rgb := make([]uint8, 3*f.width)
	var rows [4][]uint8
	return func(out []uint8, y int) {
		for i := range up {
			rows[i] = up[i].row(y)[:f.width]
		}
		table.row(rgb, rows[0], rows[1], rows[2])
		for x := range f.width {
			p := out[4*x : 4*x+4]
			for i := range 3 {
				if p[i] = 255 - rows[i][x]; space == ycck {
					p[i] = rgb[3*x+i]
				}
			}
			p[3] = 255 - rows[3][x]
		}
	}
}

// stored interleaves the planes as they are: [H,W,components].
func (d *decoder) stored() []uint8 {
	f := d.frame
	n := len(f.components)
	pix := make([]uint8, n*f.width*f.height)
	for i, up := range f.upsamplers() {
		for y := range f.height {
			out := pix[n*f.width*y:][:n*f.width]
			for x, v := range up.row(y)[:f.width] {
				out[n*x+i] = v
			}
		}
	}
	return pix
}

func (t *chroma) row(out, luma, cb, cr []uint8) {
	cb, cr = cb[:len(luma)], cr[:len(luma)]
	for x, l := range luma {
		v, b, r := int32(l), cb[x], cr[x]
		p := out[3*x : 3*x+3 : 3*x+3]
		p[0] = clamp(v + t.crRed[r])
		p[1] = clamp(v + (t.cbGreen[b]+t.crGreen[r])>>16)
		p[2] = clamp(v + t.cbBlue[b])
	}
}

func clamp(v int32) uint8 {
	if uint32(v) > 255 {
		v = ^v >> 31
	}
	return uint8(v)
}

// multiply converts one of cyan, magenta and yellow to a colour. All CMYK files are taken for inverted (255 is no ink),
// which Adobe's programs write and Pillow assumes: the colour is what the ink and black let through, with Pillow's
// rounding.
func multiply(light, black uint8) uint8 {
	ink := uint32(255-light)*uint32(black) + 128
	return black - uint8((ink>>8+ink)>>8)
}
