package nuclei

import "math"

// plane is one value a pixel, row by row.
type plane struct {
	width, height int
	v             []float32
}

func newPlane(width, height int) plane {
	return plane{width, height, make([]float32, width*height)}
}

// gaussian writes p, smoothed by a Gaussian of deviation sigma pixels, to dst; tmp has the same size, and all differ.
// Border pixels are repeated.
func (p plane) gaussian(dst, tmp plane, sigma float64) {
	if sigma > 4 { // three boxes are as good as a Gaussian there, and cost the same however wide they are
		a, b := boxes(sigma)
		p.box(tmp, a)
		tmp.box(dst, a)
		dst.box(tmp, b)
		copy(dst.v, tmp.v)
		return
	}
	taps := gaussianTaps(sigma)
	p.rows(tmp, taps)
	tmp.columns(dst, taps)
}

// gaussianTaps are the weights of a Gaussian from its middle on; both sides together add up to 1.
func gaussianTaps(sigma float64) []float32 {
	taps := make([]float32, int(math.Ceil(3*sigma))+1)
	sum := 0.0
	weight := func(i int) float64 { return math.Exp(-float64(i*i) / (2 * sigma * sigma)) }
	for i := range taps {
		sum += weight(i)
		if i > 0 {
			sum += weight(i)
		}
	}
	for i := range taps {
		taps[i] = float32(weight(i) / sum)
	}
	return taps
}

func (p plane) rows(dst plane, taps []float32) {
	reach := len(taps) - 1
	padded := make([]float32, p.width+2*reach)
	for y := range p.height {
		row, out := p.row(y), dst.row(y)
		copy(padded[reach:], row)
		for i := range reach {
			padded[i], padded[reach+p.width+i] = row[0], row[p.width-1]
		}
		axpy(out, padded[reach:], padded[reach:], taps[0]/2, true)
		for k := 1; k <= reach; k++ {
			axpy(out, padded[reach-k:], padded[reach+k:], taps[k], false)
		}
	}
}

func (p plane) columns(dst plane, taps []float32) {
	for y := range p.height {
		out := dst.row(y)
		axpy(out, p.row(y), p.row(y), taps[0]/2, true)
		for k := 1; k < len(taps); k++ {
			axpy(out, p.row(max(0, y-k)), p.row(min(p.height-1, y+k)), taps[k], false)
		}
	}
}

// axpy adds w·(a+b) to out, or sets it.
func axpy(out, a, b []float32, w float32, set bool) {
	a, b = a[:len(out)], b[:len(out)]
	if set {
		for i := range out {
			out[i] = w * (a[i] + b[i])
		}
		return
	}
	for i := range out {
		out[i] += w * (a[i] + b[i])
	}
}

func (p plane) row(y int) []float32 { return p.v[y*p.width : (y+1)*p.width] }

// boxes returns the radii of three boxes, the first one used twice, that have together the variance of a Gaussian.
func boxes(sigma float64) (a, b int) {
	a = int(math.Round((math.Sqrt(4*sigma*sigma+1) - 1) / 2))
	// The variance of a box of radius r is r(r+1)/3.
	left := sigma*sigma - 2*float64(a*(a+1))/3
	b = int(math.Round((math.Sqrt(max(0, 12*left+1)) - 1) / 2))
	return a, b
}

// box averages squares of radius pixels to each side, by sums that slide.
func (p plane) box(dst plane, radius int) {
	w, h := p.width, p.height
	scale := 1 / float64((2*radius+1)*(2*radius+1))
	columns := make([]float64, w)
	for y := -radius; y <= radius; y++ {
		for x, v := range p.row(max(0, min(h-1, y))) {
			columns[x] += float64(v)
		}
	}
	for y := range h {
		out := dst.row(y)
		sum := 0.0
		for x := -radius; x <= radius; x++ {
			sum += columns[max(0, min(w-1, x))]
		}
		for x := range w {
			out[x] = float32(sum * scale)
			sum += columns[min(w-1, x+radius+1)] - columns[max(0, x-radius)]
		}
		in, gone := p.row(min(h-1, y+radius+1)), p.row(max(0, y-radius))
		for x := range columns {
			columns[x] += float64(in[x]) - float64(gone[x])
		}
	}
}
