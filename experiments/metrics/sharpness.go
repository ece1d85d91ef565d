package metrics

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/dsp/fourier"

	"github.com/histdist/histdist/data/imagefile"
)

// Sharpness is the variance of the Laplacian of an image in squared grey levels, 0 for one without edges: Pertuz, Puig
// and Garcia, Pattern Recognition 46(5), 2013, LAP4, with the kernel 0 1 0 / 1 −4 1 / 0 1 0 on the luma of ITU-R
// BT.601, without the pixels at the edge. Noise counts as sharpness. Images below 3×3 pixels are errors.
func Sharpness(img *imagefile.Image) (float64, error) {
	if err := img.Check(); err != nil {
		return 0, fmt.Errorf("metrics: sharpness: %w", err)
	}
	w, h := img.Width, img.Height
	if w < 3 || h < 3 {
		return 0, fmt.Errorf("metrics: sharpness needs images of at least 3×3 pixels; this has %d×%d", w, h)
	}
	grey := luma(img)
	var sum, squares float64
	for y := 1; y < h-1; y++ {
		for i := y*w + 1; i < (y+1)*w-1; i++ {
			l := grey[i-w] + grey[i-1] + grey[i+1] + grey[i+w] - 4*grey[i]
			sum += l
			squares += float64(l * l)
		}
	}
	n := float64((w - 2) * (h - 2))
	return max(0, squares/n-(sum/n)*(sum/n)), nil
}

// FinePower is the part of an image's variance at spatial frequencies above half of Nyquist's, 0.25 cycles per pixel
// in any direction, in squared grey levels: details of less than 4 pixels. It is the power spectrum of the luma under a
// Hann window, scaled so that a grating of amplitude A has A²/2.
func FinePower(img *imagefile.Image) (float64, error) {
	if err := img.Check(); err != nil {
		return 0, fmt.Errorf("metrics: fine power: %w", err)
	}
	w, h := img.Width, img.Height
	grey := luma(img)
	mean := 0.0
	for _, v := range grey {
		mean += v / float64(len(grey))
	}
	across, down := Hann(w), Hann(h)
	spectrum := make([]complex128, len(grey)) // [H,W]
	weight := 0.0                             // of all squared
	for i, v := range grey {
		u := across[i%w] * down[i/w]
		weight += float64(u * u)
		spectrum[i] = complex((v-mean)*u, 0)
	}
	rows, columns := fourier.NewCmplxFFT(w), fourier.NewCmplxFFT(h)
	for y := range h {
		rows.Coefficients(spectrum[y*w:(y+1)*w], spectrum[y*w:(y+1)*w])
	}
	column, power := make([]complex128, h), 0.0
	for x := range w {
		for y := range h {
			column[y] = spectrum[y*w+x]
		}
		columns.Coefficients(column, column)
		for y, c := range column {
			if math.Hypot(rows.Freq(x), columns.Freq(y)) > 0.25 {
				power += float64(real(c)*real(c)) + float64(imag(c)*imag(c))
			}
		}
	}
	return power / float64(len(grey)) / weight, nil
}

// luma is an image in grey levels, [H,W].
func luma(img *imagefile.Image) []float64 {
	grey := make([]float64, img.Width*img.Height)
	for i := range grey {
		p := img.Pix[3*i:]
		grey[i] = (299*float64(p[0]) + 587*float64(p[1]) + 114*float64(p[2])) / 1000
	}
	return grey
}

// Hann is Hann's window of n values, none of which is 0.
func Hann(n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		s := math.Sin(math.Pi * (float64(i) + 0.5) / float64(n))
		w[i] = s * s
	}
	return w
}
