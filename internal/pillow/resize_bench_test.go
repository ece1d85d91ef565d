package pillow_test

import (
	"fmt"
	"testing"

	"github.com/histdist/histdist/internal/pillow"
)

// BenchmarkResize reports the bytes of the source image. Pillow's own time for the same, on the same processors:
//
//	python -m timeit -s "from PIL import Image; im = Image.effect_noise((1024, 1024), 64).convert('RGB')" \
//		"im.resize((224, 224), 2)"
func BenchmarkResize(b *testing.B) {
	for _, c := range []struct {
		side, to, channels int
		filter             pillow.Filter
	}{
		{1024, 224, 3, pillow.Bilinear},
		{512, 224, 3, pillow.Bilinear},
		{1024, 256, 3, pillow.Bicubic},
		{1024, 224, 1, pillow.Bilinear},
		{1024, 1022, 3, pillow.Bicubic},
	} {
		b.Run(fmt.Sprintf("%d→%d/%v/%d", c.side, c.to, c.filter, c.channels), func(b *testing.B) {
			src := noise(c.side, c.side, c.channels)
			b.SetBytes(int64(len(src.Pix)))
			for b.Loop() {
				if _, err := pillow.Resize(src, c.to, c.to, c.filter); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// noise returns an image of seemingly random bytes, the same in every run: linear congruential, as in gen_resize.py.
func noise(height, width, channels int) pillow.Image {
	m := pillow.Image{Pix: make([]uint8, height*width*channels), Height: height, Width: width, Channels: channels}
	state := uint32(height*31 + width*17 + channels)
	for i := range m.Pix {
		state = state*1664525 + 1013904223
		m.Pix[i] = uint8(state >> 24)
	}
	return m
}
