package infer

import (
	"fmt"
	"math"

	"github.com/histdist/histdist/data/imagefile"
)

func check(m *imagefile.Image) error {
	if m == nil || m.Width < 1 || m.Height < 1 || len(m.Pix) != m.Width*m.Height*3 {
		return fmt.Errorf("an image without pixels, or not 3 bytes for each: want 8-bit RGB")
	}
	return nil
}

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

// values writes an image in [−1,1], padded by reflection at the right and the bottom, to dst [height,width,3]:
// 2·(u/255) − 1 in float32, the division first, like vae.Signed.
func values(dst []float32, m *imagefile.Image, height, width int) {
	var table [256]float32
	for u := range table {
		table[u] = float32(float32(u)/255)*2 - 1
	}
	for y := range height {
		row := m.Pix[reflect(y, m.Height)*m.Width*3:]
		for x := range width {
			p := row[reflect(x, m.Width)*3:]
			at := (y*width + x) * 3
			dst[at], dst[at+1], dst[at+2] = table[p[0]], table[p[1]], table[p[2]]
		}
	}
}

// FromValues turns values [height,width,3] that an autoencoder decoded, in about [−1,1], into an image.
func FromValues(values []float32, width, height int) *imagefile.Image {
	return unpad(values, width, width, height)
}

// unpad turns decoded values [≥height,stride,3] in about [−1,1] into an image and cuts the padding off:
// round(clip(x/2 + 0.5, 0, 1)·255), halves to even.
func unpad(values []float32, stride, width, height int) *imagefile.Image {
	m := imagefile.New(width, height)
	for y := range m.Height {
		from, to := values[y*stride*3:], m.Pix[y*m.Width*3:]
		for i := range m.Width * 3 {
			x := min(max(from[i]/2+0.5, 0), 1)
			to[i] = uint8(math.RoundToEven(float64(float32(x * 255))))
		}
	}
	return m
}
