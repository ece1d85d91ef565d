package tiff

import "fmt"

// ycbcrTables holds what luma and chroma contribute to red, green and blue, as libtiff's tif_color.c tabulates it.
type ycbcrTables struct {
	y, crRed, cbBlue, crGreen, cbGreen [256]int32
}

// readYCbCr reads subsampling, coefficients and ranges (TIFF 6.0, section 21).
func (p *Page) readYCbCr() error {
	p.sub = [2]int{2, 2}
	if sub, err := p.Numbers(tagYCbCrSubsampling, 2); err == nil && len(sub) == 2 {
		for i, v := range sub {
			if v != 1 && v != 2 && v != 4 {
				return fmt.Errorf("tiff: YCbCr subsampling %d×%d; 1, 2 and 4 are possible", sub[0], sub[1])
			}
			p.sub[i] = int(v)
		}
	}
	luma := [3]float32{0.299, 0.587, 0.114}
	if v := p.reals(tagYCbCrCoefficients, 3); len(v) == 3 && v[1] != 0 {
		luma = [3]float32{float32(v[0]), float32(v[1]), float32(v[2])}
	}
	reference := [6]float32{0, 255, 128, 255, 128, 255}
	if v := p.reals(tagReferenceBlack, 6); len(v) == 6 {
		for i := range v {
			reference[i] = float32(v[i])
		}
	}
	p.ycbcr = newYCbCrTables(luma, reference)
	return nil
}

// subsampled reports whether units of luma with one pair of chroma samples are decoded here.
func (p *Page) subsampled() bool {
	return p.Photometric == yCbCr && p.compression != jpegCompression && p.sub != [2]int{1, 1}
}

func newYCbCrTables(luma [3]float32, reference [6]float32) *ycbcrTables {
	clamp := func(v, low, high float32) float32 { return min(max(v, low), high) }
	fixed := func(v float32) int32 { return int32(float64(v)*65536 + 0.5) }
	red, blue := 2-2*luma[0], 2-2*luma[2]
	d1, d3 := fixed(clamp(red, 0, 2)), fixed(clamp(blue, 0, 2))
	d2, d4 := -fixed(clamp(luma[0]*red/luma[1], 0, 2)), -fixed(clamp(luma[2]*blue/luma[1], 0, 2))
	value := func(c int, black, white, span float32) int32 {
		size := white - black
		if size == 0 {
			size = 1
		}
		return int32(clamp(float32(c-int(int32(black)))*span/size, -128*32, 128*32))
	}
	t := &ycbcrTables{}
	for i := range 256 {
		cb := value(i-128, reference[2]-128, reference[3]-128, 127)
		cr := value(i-128, reference[4]-128, reference[5]-128, 127)
		t.crRed[i] = (d1*cr + 1<<15) >> 16
		t.cbBlue[i] = (d3*cb + 1<<15) >> 16
		t.crGreen[i] = d2 * cr
		t.cbGreen[i] = d4*cb + 1<<15
		t.y[i] = value(i, reference[0], reference[1], 255)
	}
	return t
}

func (t *ycbcrTables) rgb(y, cb, cr uint8) (r, g, b uint8) {
	luma := t.y[y]
	clamp := func(v int32) uint8 { return uint8(min(max(v, 0), 255)) }
	return clamp(luma + t.crRed[cr]), clamp(luma + (t.cbGreen[cb]+t.crGreen[cr])>>16), clamp(luma + t.cbBlue[cb])
}

// spread makes rows of whole samples [rows][width,3] of a band of units: luma of sub[0]×sub[1] pixels, then their Cb
// and Cr.
func (p *Page) spread(rows [][]uint8, band []byte) {
	h, v := p.sub[0], p.sub[1]
	width := p.tileWidth
	for x := 0; x < width; x += h {
		unit := band[x/h*(h*v+2):]
		cb, cr := unit[h*v], unit[h*v+1]
		for dy := range v {
			for dx := range min(h, width-x) {
				out := rows[dy][3*(x+dx):]
				out[0], out[1], out[2] = unit[dy*h+dx], cb, cr
			}
		}
	}
}
