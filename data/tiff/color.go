package tiff

import "fmt"

// readPalette reads the colours of indices: all reds, all greens, all blues, of 16 bits each.
func (p *Page) readPalette() error {
	if p.bits > 8 {
		return unsupported("a palette for indices of %d bits", p.bits)
	}
	n := 1 << p.bits
	values, err := p.Numbers(tagColorMap, 3*n)
	if err != nil {
		return err
	}
	if len(values) < 3*n {
		return fmt.Errorf("tiff: the palette has %d values; %d colours need %d", len(values), n, 3*n)
	}
	// Like libtiff: some writers use 8 of the 16 bits.
	shift := 0
	for _, v := range values {
		if v > 255 {
			shift = 8
		}
	}
	p.palette = make([][3]uint8, n)
	for i := range p.palette {
		for c := range 3 {
			p.palette[i][c] = uint8(values[c*n+i] >> shift)
		}
	}
	return nil
}

// convert makes pixels [n,Channels] of n pixels' samples.
func (p *Page) convert(out, samples []uint8) {
	channels := p.Channels()
	asStored := p.Photometric == BlackIsZero || p.Photometric == rgbColours || p.inks ||
		p.Photometric == yCbCr && p.ycbcr == nil
	if asStored && channels == p.Samples { // alpha is the last
		copy(out, samples)
		return
	}
	for len(out) > 0 {
		in := samples[:p.Samples]
		switch p.Photometric {
		case whiteIsZero:
			out[0] = 255 - in[0]
		case BlackIsZero:
			out[0] = in[0]
		case rgbColours:
			out[0], out[1], out[2] = in[0], in[1], in[2]
		case paletteColours:
			c := &p.palette[in[0]]
			out[0], out[1], out[2] = c[0], c[1], c[2]
		case Separated:
			if p.inks {
				copy(out, in[:4])
				break
			}
			light := 255 - in[3]
			out[0], out[1], out[2] = inked(in[0], light), inked(in[1], light), inked(in[2], light)
		case yCbCr:
			if p.ycbcr != nil {
				out[0], out[1], out[2] = p.ycbcr.rgb(in[0], in[1], in[2])
			} else { // JPEG's decoder did
				out[0], out[1], out[2] = in[0], in[1], in[2]
			}
		}
		if p.Alpha != NoAlpha {
			out[channels-1] = in[p.alphaAt]
		}
		out, samples = out[channels:], samples[p.Samples:]
	}
}

// inked is what an ink leaves of the light that black lets through, with Pillow's rounding.
func inked(ink, light uint8) uint8 {
	share := uint32(ink)*uint32(light) + 128
	return light - uint8((share>>8+share)>>8)
}
