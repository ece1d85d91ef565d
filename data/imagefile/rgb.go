package imagefile

import (
	"image"
	"image/color"
)

// toRGB converts a decoded image to 8-bit RGB [H,W,3], composited on white, and counts the pixels that are not opaque.
func toRGB(img image.Image) (pix []uint8, transparent int) {
	bounds := img.Bounds()
	width, height := bounds.Dx(), bounds.Dy()
	pix = make([]uint8, 3*width*height)
	var palette [256]color.NRGBA // black where an index has no colour
	if img, ok := img.(*image.Paletted); ok {
		for i := range palette {
			palette[i].A = 255
		}
		for i, c := range img.Palette[:min(len(img.Palette), len(palette))] {
			palette[i] = color.NRGBAModel.Convert(c).(color.NRGBA)
		}
	}
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
				if p[3] != 255 {
					transparent++
				}
				for i := range 3 {
					out[3*x+i] = composite(p[i], p[3], 255, true)
				}
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
					out[3*x+i] = composite(p[i], p[3], 255, false)
				}
			}
		case *image.Paletted:
			for x, index := range img.Pix[y*img.Stride:][:width] {
				c := palette[index]
				onWhite := func(v uint8) uint8 { return composite(v, c.A, 255, false) }
				if c.A != 255 {
					transparent++
				}
				out[3*x], out[3*x+1], out[3*x+2] = onWhite(c.R), onWhite(c.G), onWhite(c.B)
			}
		default: // 16 bits with alpha
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

// composite puts a value, multiplied by alpha or not, on a background. A multiplied value above alpha, as in damaged
// files, must not wrap to black.
func composite(v, alpha, background uint8, multiplied bool) uint8 {
	a, rest := uint32(alpha), uint32(background)*(255-uint32(alpha))
	if multiplied {
		return uint8(min(uint32(v), a) + (rest+127)/255)
	}
	return uint8((uint32(v)*a + rest + 127) / 255)
}
