package metrics

import (
	"math"

	"github.com/histdist/histdist/data/imagefile"
)

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
