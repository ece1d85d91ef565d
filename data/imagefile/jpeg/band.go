package jpeg

// band holds the samples of one row of units: 8 rows of each component, or 16 of luma with 2×2 subsampling.
type band struct {
	factor        int // pixels that share a chroma sample, in x and y: 1 or 2
	width, height int // of the image
	units         int // in a row
	stride        int // of full
	full          [3][]uint8
	chroma        [2][]uint8 // full[1] and full[2], subsampled: [8,stride/2]; with factor 1 these
}

func newBand(factor, width, height int) *band {
	b := &band{factor: factor, width: width, height: height, units: ceilDiv(width, 8*factor)}
	b.stride = b.units * 8 * factor
	for i := range b.full {
		b.full[i] = make([]uint8, b.stride*8*factor)
	}
	copy(b.chroma[:], b.full[1:])
	if factor > 1 {
		for i := range b.chroma {
			b.chroma[i] = make([]uint8, b.stride/factor*8)
		}
	}
	return b
}

// load converts the band's rows of RGB [H,W,3], as libjpeg's jccolor.c and jcsample.c do: 16 bits of fraction, last
// column and row repeated.
func (b *band) load(pix []uint8, index int) {
	rows := 8 * b.factor
	for row := range rows {
		y := index*rows + row
		at := row * b.stride
		luma, cb, cr := b.full[0][at:][:b.stride], b.full[1][at:][:b.stride], b.full[2][at:][:b.stride]
		if y >= b.height {
			copy(luma, b.full[0][at-b.stride:])
			copy(cb, b.full[1][at-b.stride:])
			copy(cr, b.full[2][at-b.stride:])
			continue
		}
		convert(luma[:b.width], cb[:b.width], cr[:b.width], pix[3*b.width*y:][:3*b.width])
		for x := b.width; x < b.stride; x++ {
			luma[x], cb[x], cr[x] = luma[b.width-1], cb[b.width-1], cr[b.width-1]
		}
	}
	if b.factor > 1 {
		b.subsample(index)
	}
}

// convert makes a row of RGB [n,3] into luma and chroma. Luma and Cb are computed in the lower and the upper half of
// one product of 64 bits: neither is negative in the end.
func convert(luma, cb, cr, rgb []uint8) {
	const half, centre = 1 << 15, 128<<16 + 1<<15 - 1
	const red, green, blue = 19595 - 11059<<32, 38470 - 21709<<32, 7471 + 32768<<32
	cb, cr = cb[:len(luma)], cr[:len(luma)]
	for x := range luma {
		if len(rgb) < 3 {
			return
		}
		r, g, b := int64(rgb[0]), int64(rgb[1]), int64(rgb[2])
		rgb = rgb[3:]
		both := uint64(r*red + g*green + b*blue + half + centre<<32)
		luma[x], cb[x] = uint8(both>>16), uint8(both>>48)
		cr[x] = uint8((r<<15 - g*27439 - b*5329 + centre) >> 16)
	}
}

// subsample averages 2×2 chroma samples with rounding alternately down and up.
func (b *band) subsample(index int) {
	last := ceilDiv(b.height, 2) - 1 - 8*index // the last row of chroma
	for i, full := range b.full[1:] {
		for y := range 8 {
			// Rows below the image repeat its last row of chroma, not the average of repeated pixels.
			source := min(y, last)
			upper, lower := full[2*source*b.stride:][:b.stride], full[(2*source+1)*b.stride:][:b.stride]
			out := b.chroma[i][y*b.stride/2:][:b.stride/2]
			for x := range out {
				sum := int32(upper[2*x]) + int32(upper[2*x+1]) + int32(lower[2*x]) + int32(lower[2*x+1])
				out[x] = uint8((sum + 1 + int32(x&1)) >> 2)
			}
		}
	}
}
