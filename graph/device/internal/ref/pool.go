package ref

import (
	"math"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// eachWindow visits the windows over images x [N,H,W,C] with the pixels that each sees, row by row, without padding.
// Windows and pixels count through all images.
func eachWindow(g op.Geometry, x tensor.Shape, visit func(window int, pixels []int)) {
	outH, outW := g.Out(x[1], x[2])
	pixels := make([]int, 0, g.KH*g.KW)
	for i := range x[0] * outH * outW {
		image, top, left := i/(outH*outW), i/outW%outH*g.Stride-g.Pad.Top, i%outW*g.Stride-g.Pad.Left
		pixels = pixels[:0]
		for y := max(top, 0); y < min(top+g.KH, x[1]); y++ {
			for z := max(left, 0); z < min(left+g.KW, x[2]); z++ {
				pixels = append(pixels, (image*x[1]+y)*x[2]+z)
			}
		}
		visit(i, pixels)
	}
}

// maxPool takes NaN for larger than any number.
func maxPool[T element](s op.MaxPool2D, r device.Request) *kernel[T] {
	n := channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		eachWindow(s.Geometry, r.In[0].Shape, func(window int, pixels []int) {
			for c := range n {
				best := T(math.Inf(-1))
				for _, p := range pixels {
					if v := o.in[0][p*n+c]; v > best || v != v {
						best = v
					}
				}
				o.out[window*n+c] = best
			}
		})
	})
}

func avgPool[T element](s op.AvgPool2D, r device.Request) *kernel[T] {
	n := channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		eachWindow(s.Geometry, r.In[0].Shape, func(window int, pixels []int) {
			divisor := len(pixels)
			if s.CountIncludePad {
				divisor = s.KH * s.KW
			}
			for c := range n {
				sum := 0.0
				for _, p := range pixels {
					sum += float64(o.in[0][p*n+c])
				}
				o.out[window*n+c] = T(sum / float64(divisor))
			}
		})
	})
}
