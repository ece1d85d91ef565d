package metrics

import (
	"math"

	"github.com/histdist/histdist/data/imagefile"
)

// PSNR is the peak signal-to-noise ratio of two pictures of one size in decibels, 10·log10(255² / MSE) over all pixels and
// channels, as scikit-image's peak_signal_noise_ratio gives it for 8-bit pictures: +Inf for equal ones. The sum of squares is
// an exact integer. Pictures of different sizes are an error.
func PSNR(a, b *imagefile.Image) (float64, error) {
	if err := checkSizes("PSNR", a, b); err != nil {
		return 0, err
	}
	return 10 * math.Log10(255*255/meanSquare(a.Pix, b.Pix)), nil
}

// PSNRGrey is the PSNR of the grey values of two pictures as OpenCV's cv2.PSNR gives it, which the official training uses in
// validation: 20·log10(255 / (√MSE + 2⁻⁵²)), hence 361.2 for equal pictures, not +Inf.
func PSNRGrey(a, b *imagefile.Image) (float64, error) {
	if err := checkSizes("PSNR", a, b); err != nil {
		return 0, err
	}
	return 20 * math.Log10(255/(math.Sqrt(meanSquare(grey(a), grey(b)))+0x1p-52)), nil
}

func meanSquare(a, b []uint8) float64 {
	b = b[:len(a)]
	sum := 0
	for i, v := range a {
		d := int(v) - int(b[i])
		sum += d * d
	}
	return float64(sum) / float64(len(a))
}
