// Package interpolate resizes 8-bit images like torch.nn.functional.interpolate with mode="bilinear",
// align_corners=False and antialias=False: each output pixel is a mean of four source pixels, however far the image
// shrinks. Scores of images are defined with it; networks trained on images that Pillow resized need internal/pillow.
package interpolate

import (
	"errors"
	"fmt"
)

// ErrImage is wrapped by the errors of Bilinear about an image or a size that can't be.
var ErrImage = errors.New("bad image")

// maxSide keeps products of sides from overflowing.
const maxSide = 1 << 24

// axis locates an output pixel along one axis: between source pixels low and high, with their weights.
type axis struct {
	low, high int
	wl, wh    float32
}

// axes computes torch's area_pixel_compute_source_index in float32 for all output pixels.
func axes(in, out int) []axis {
	scale := float32(in) / float32(out)
	all := make([]axis, out)
	for i := range all {
		at := max(0, float32(scale*(float32(i)+0.5))-0.5)
		low := min(int(at), in-1)
		w := at - float32(low)
		all[i] = axis{low: low, high: min(low+1, in-1), wl: 1 - w, wh: w}
	}
	return all
}

// Bilinear resizes rgb [height,width,3] to [outHeight,outWidth,3], with value[g] in the place of the grey value g.
func Bilinear(rgb []uint8, width, height, outWidth, outHeight int, value *[256]float32) ([]float32, error) {
	for _, side := range []int{width, height, outWidth, outHeight} {
		if side < 1 || side > maxSide {
			return nil, fmt.Errorf("resize %d×%d to %d×%d: %w: want sides from 1 to %d",
				width, height, outWidth, outHeight, ErrImage, maxSide)
		}
	}
	if len(rgb) != 3*width*height {
		return nil, fmt.Errorf("resize: %w: %d bytes, want %d for %d×%d pixels of 3 channels",
			ErrImage, len(rgb), 3*width*height, width, height)
	}
	columns, rows := axes(width, outWidth), axes(height, outHeight)
	out := make([]float32, 3*outWidth*outHeight)
	for y, r := range rows {
		top, bottom := rgb[3*width*r.low:][:3*width], rgb[3*width*r.high:][:3*width]
		to := out[3*outWidth*y:][:3*outWidth]
		for x, c := range columns {
			l, h := 3*c.low, 3*c.high
			for k := range 3 {
				upper := c.wl*value[top[l+k]] + c.wh*value[top[h+k]]
				lower := c.wl*value[bottom[l+k]] + c.wh*value[bottom[h+k]]
				to[3*x+k] = r.wl*upper + r.wh*lower
			}
		}
	}
	return out, nil
}
