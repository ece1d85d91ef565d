package infer

import (
	"math"

	"github.com/histdist/histdist/data/imagefile"
)

// padded is the size of n pixels rounded up to a multiple of the VAE's factor.
func padded(n, factor int) int { return (n + factor - 1) / factor * factor }

// reflect returns the pixel for index i ≥ 0 of n pixels that continue mirrored beyond the edge, which is not repeated.
func reflect(i, n int) int {
	if n == 1 {
		return 0
	}
	period := 2 * (n - 1)
	if i %= period; i >= n {
		i = period - i
	}
	return i
}

// pad appends an image to pix, padded by reflection at the right and the bottom to [height,width,3].
func pad(pix []uint8, m *imagefile.Image, height, width int) []uint8 {
	for y := range height {
		row := m.Pix[reflect(y, m.Height)*m.Width*3:]
		for x := range width {
			at := reflect(x, m.Width) * 3
			pix = append(pix, row[at:at+3]...)
		}
	}
	return pix
}

// FromValues turns values [height,width,3] that an autoencoder decoded, in about [−1,1], into an image.
func FromValues(values []float32, width, height int) *imagefile.Image {
	return unpad(values, width, width, height)
}

// unpad turns decoded values [≥height,stride,3] in about [−1,1] into an image and cuts the padding off.
func unpad(values []float32, stride, width, height int) *imagefile.Image {
	m := imagefile.New(width, height)
	for y := range m.Height {
		from, to := values[y*stride*3:], m.Pix[y*m.Width*3:]
		for i := range m.Width * 3 {
			to[i] = Level(from[i])
		}
	}
	return m
}

// Level is an 8-bit level of a decoded value, in about [−1,1]: round(clip(x/2 + 0.5, 0, 1)·255), halves to even.
func Level(x float32) uint8 {
	x = min(max(x/2+0.5, 0), 1)
	const whole = 1 << 23 // above it, float32 has no fractions: the addition rounds, and the level is in the lowest bits
	return uint8(math.Float32bits(float32(x*255) + whole))
}
