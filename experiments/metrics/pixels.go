package metrics

import (
	"errors"
	"fmt"
	"math"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/internal/parallel"
)

const (
	ssimWindow = 7 // side of the square window in pixels
	channels   = 3
)

// SSIM is the mean structural similarity of two images, in [-1, 1], 1 for equal ones. It is scikit-image's
// structural_similarity(a, b, channel_axis=2), as in the official evaluation: Wang et al., IEEE Trans. Image Process.
// 13(4), 2004, eq. 13, with a uniform 7×7 window, sample covariances (divided by 48), K1 = 0.01, K2 = 0.03, L = 255,
// averaged over the channels and the windows inside the image.
//
// Sums over windows are exact integers; up to two goroutines share the rows, which doesn't change the result. Images of
// different sizes or below 7×7 pixels are errors.
func SSIM(a, b *imagefile.Image) (float64, error) {
	if err := checkSizes("SSIM", a, b); err != nil {
		return 0, err
	}
	if a.Width < ssimWindow || a.Height < ssimWindow {
		return 0, fmt.Errorf("metrics: SSIM needs images of at least %d×%d pixels; these have %d×%d",
			ssimWindow, ssimWindow, a.Width, a.Height)
	}
	rows := a.Height - ssimWindow + 1
	sums := make([]float64, rows)
	step := rows
	if rows >= 64 { // below that a goroutine costs more than it saves
		step = (rows + 1) / 2
	}
	parallel.Ranges(rows, step, func(from, to int) { ssimRows(sums, a.Pix, b.Pix, a.Width, from, to) })
	total := 0.0
	for _, s := range sums {
		total += s
	}
	return total / float64(rows*(a.Width-ssimWindow+1)*channels), nil
}

// ssimRows sets sums[from:to] to the similarities of the windows whose upper row that is, summed. Sums over columns of
// seven pixels slide down, sums over seven columns slide right. Two sums within 32 bits share a word: of x and y, and
// of x² + y² and xy.
func ssimRows(sums []float64, a, b []uint8, width, from, to int) {
	n := width * channels
	values, products := make([]uint64, n), make([]uint64, n)
	for y := from; y < from+ssimWindow-1; y++ {
		for i := range n {
			p, q := uint64(a[y*n+i]), uint64(b[y*n+i])
			values[i] += p | q<<32
			products[i] += p*p + q*q | p*q<<32
		}
	}
	for y := from; y < to; y++ {
		inA, inB := a[(y+ssimWindow-1)*n:][:n], b[(y+ssimWindow-1)*n:][:n]
		for i := range values {
			p, q := uint64(inA[i]), uint64(inB[i])
			values[i] += p | q<<32
			products[i] += p*p + q*q | p*q<<32
		}
		for c := range channels {
			sums[y] += ssimRow(values[c:], products[c:])
		}
		outA, outB := a[y*n:][:n], b[y*n:][:n]
		for i := range values {
			p, q := uint64(outA[i]), uint64(outB[i])
			values[i] -= p | q<<32
			products[i] -= p*p + q*q | p*q<<32
		}
	}
}

// ssimRow sums the similarities of the windows of one row and channel, given the sums of their columns.
func ssimRow(values, products []uint64) float64 {
	const (
		n  = ssimWindow * ssimWindow
		c1 = 0.01 * 255 * 0.01 * 255 * n * n
		c2 = 0.03 * 255 * 0.03 * 255 * n * (n - 1)
	)
	products = products[:len(values)]
	var s, p uint64
	in := 0
	for ; in < (ssimWindow-1)*channels; in += channels {
		s += values[in]
		p += products[in]
	}
	total := 0.0
	for out := 0; in < len(values); in, out = in+channels, out+channels {
		s += values[in]
		p += products[in]
		x, y, squares, product := int64(uint32(s)), int64(s>>32), int64(uint32(p)), int64(p>>32)
		xy, xx := x*y, x*x+y*y
		// Equation 13, its numerator and denominator times n³(n−1).
		total += (float64(2*xy) + c1) * (float64(2*(n*product-xy)) + c2) / ((float64(xx) + c1) * (float64(n*squares-xx) + c2))
		s -= values[out]
		p -= products[out]
	}
	return total
}

func checkSizes(metric string, a, b *imagefile.Image) error {
	if err := errors.Join(a.Check(), b.Check()); err != nil {
		return fmt.Errorf("metrics: %s: %w", metric, err)
	}
	if a.Width != b.Width || a.Height != b.Height {
		return fmt.Errorf("metrics: %s compares images of one size; these have %d×%d and %d×%d pixels",
			metric, a.Width, a.Height, b.Width, b.Height)
	}
	return nil
}

// PSNR is the peak signal-to-noise ratio of two images in decibels, 10·log10(255² / MSE) over all pixels and channels,
// as scikit-image's peak_signal_noise_ratio; +Inf for equal images. Images of different sizes are an error.
func PSNR(a, b *imagefile.Image) (float64, error) {
	if err := checkSizes("PSNR", a, b); err != nil {
		return 0, err
	}
	sum := 0
	for i, v := range a.Pix {
		d := int(v) - int(b.Pix[i])
		sum += d * d
	}
	return 10 * math.Log10(255*255/(float64(sum)/float64(len(a.Pix)))), nil
}
