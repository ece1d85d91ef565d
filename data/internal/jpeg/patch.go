package jpeg

// patchWidth is how many columns are converted at once: their pairs stay in the processor's nearest cache.
const patchWidth = 64

// patch holds the samples of a part of a row of units, as pairs of a row and the next: [rows/2,patchWidth], with 8
// rows, or 16 where 2×2 pixels share a chroma sample.
type patch struct {
	vector bool                      // the processor has the instructions of convertVectors
	factor int                       // pixels that share a chroma sample, in x and y: 1 or 2
	full   [3][8 * patchWidth]uint64 // luma and chroma of all pixels
	chroma [2][4 * patchWidth]uint64 // of 2×2 pixels, with factor 2
}

// load converts RGB [height,width,3] from column x0 and row y0 on, as libjpeg's jccolor.c and jcsample.c do: 16 bits of
// fraction, last column and row repeated.
func (p *patch) load(pix []uint8, width, height, x0, y0 int) {
	n := min(patchWidth, width-x0)
	rgb := func(y int) []uint8 { return pix[3*(min(y, height-1)*width+x0):][:3*n] }
	for j := range 4 * p.factor {
		y := y0 + 2*j
		luma, cb, cr := p.full[0][j*patchWidth:], p.full[1][j*patchWidth:], p.full[2][j*patchWidth:]
		upper, lower, done := rgb(y), rgb(y+1), 0
		if p.vector {
			done = convertVectors(luma[:n], cb[:n], cr[:n], upper, lower)
		}
		convert(luma[done:n], cb[done:n], cr[done:n], upper[3*done:], lower[3*done:])
		for x := n; x < patchWidth; x++ {
			luma[x], cb[x], cr[x] = luma[n-1], cb[n-1], cr[n-1]
		}
	}
	if p.factor == 2 {
		p.subsample((height+1)/2 - 1 - y0/2)
	}
}

// convert makes two rows of RGB [n,3] into pairs of luma and chroma.
func convert(luma, cb, cr []uint64, upper, lower []uint8) {
	const half, centre, mask = both << 15, both * (128<<16 + 1<<15 - 1), both * 255
	cb, cr = cb[:len(luma)], cr[:len(luma)]
	lower = lower[:len(upper)]
	at := 0
	for x := range luma {
		if at+2 >= len(upper) || at+2 >= len(lower) {
			return
		}
		r := uint64(upper[at]) | uint64(lower[at])<<32
		g := uint64(upper[at+1]) | uint64(lower[at+1])<<32
		b := uint64(upper[at+2]) | uint64(lower[at+2])<<32
		at += 3
		luma[x] = (r*19595 + g*38470 + b*7471 + half) >> 16 & mask
		cb[x] = (b<<15 - r*11059 - g*21709 + centre) >> 16 & mask
		cr[x] = (r<<15 - g*27439 - b*5329 + centre) >> 16 & mask
	}
}

// subsample averages 2×2 chroma samples with rounding alternately down and up. Rows after last, below the image, repeat
// it: not the average of repeated pixels.
func (p *patch) subsample(last int) {
	for i := range p.chroma {
		out := &p.chroma[i]
		for y := range 8 {
			in := p.full[1+i][min(y, last)*patchWidth:][:patchWidth]
			for x := range patchWidth / 2 {
				sum := in[2*x] + in[2*x+1]
				mean := (sum&low + sum>>32 + 1 + uint64(x&1)) >> 2
				if y%2 == 0 {
					out[y/2*patchWidth+x] = mean
				} else {
					out[y/2*patchWidth+x] |= mean << 32
				}
			}
		}
	}
}
