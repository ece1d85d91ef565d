package imagefile

import (
	"image"
	"image/color"
)

// toRGB makes 8-bit RGB [H,W,3] of a decoded picture, on white where it is not opaque, and counts the pixels that are not.
func toRGB(img image.Image) (pix []uint8, transparent int) {
	bounds := img.Bounds()
	width, height := bounds.Dx(), bounds.Dy()
	pix = make([]uint8, 3*width*height)
	for y := range height {
		out := pix[3*width*y:][:3*width]
		switch img := img.(type) {
		case *image.Gray:
			for x, v := range img.Pix[y*img.Stride:][:width] {
				out[3*x], out[3*x+1], out[3*x+2] = v, v, v
			}
		case *image.Gray16:
			for x := range width {
				v := img.Pix[y*img.Stride+2*x]
				out[3*x], out[3*x+1], out[3*x+2] = v, v, v
			}
		case *image.RGBA:
			in := img.Pix[y*img.Stride:][:4*width]
			for x := range width {
				p := in[4*x : 4*x+4]
				white := 255 - p[3]
				if white != 0 {
					transparent++
				}
				// A damaged file's colour may exceed its alpha: no wrap to black.
				out[3*x], out[3*x+1], out[3*x+2] = min(p[0], p[3])+white, min(p[1], p[3])+white, min(p[2], p[3])+white
			}
		case *image.NRGBA:
			in := img.Pix[y*img.Stride:][:4*width]
			for x := range width {
				p := in[4*x : 4*x+4]
				if p[3] == 255 {
					out[3*x], out[3*x+1], out[3*x+2] = p[0], p[1], p[2]
					continue
				}
				transparent++
				for i := range 3 {
					a := uint32(p[3])
					out[3*x+i] = uint8((uint32(p[i])*a + 255*(255-a) + 127) / 255)
				}
			}
		default: // 16 bits with alpha, palettes
			for x := range width {
				c := color.NRGBA64Model.Convert(img.At(bounds.Min.X+x, bounds.Min.Y+y)).(color.NRGBA64)
				a := uint32(c.A)
				if a != 65535 {
					transparent++
				}
				for i, v := range [3]uint16{c.R, c.G, c.B} {
					out[3*x+i] = uint8(uint32((uint64(v)*uint64(a)+65535*uint64(65535-a)+32767)/65535) >> 8)
				}
			}
		}
	}
	return pix, transparent
}
