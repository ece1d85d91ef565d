package ref

import (
	"math"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// eachWindow visits the windows over images x [N,H,W,C] with the pixels that each sees, row by row, without padding. Windows
// and pixels count through all images.
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

// largest returns where channel c of x [pixels,n] is largest, the first place of several. NaN is larger than any number.
func largest[T Float](x []T, n, c int, pixels []int) int {
	best, at := math.Inf(-1), pixels[0]*n+c
	for _, p := range pixels {
		if v := float64(x[p*n+c]); v > best || math.IsNaN(v) {
			best, at = v, p*n+c
		}
	}
	return at
}

func maxPool[T Float](s op.MaxPool2D, r device.Request) *kernel[T] {
	n := channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		eachWindow(s.Geometry, r.In[0].Shape, func(window int, pixels []int) {
			for c := range n {
				o.out[window*n+c] = o.in[0][largest(o.in[0], n, c, pixels)]
			}
		})
	})
}

func maxPoolGrad[T Float](s op.MaxPool2DGrad, r device.Request) *kernel[T] {
	n := channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		clear(o.out)
		eachWindow(s.Geometry, r.Out.Shape, func(window int, pixels []int) {
			for c := range n {
				o.out[largest(o.in[0], n, c, pixels)] += o.in[1][window*n+c]
			}
		})
	})
}

// divisor is what the sum over a window is divided by.
func divisor(g op.Geometry, countIncludePad bool, pixels []int) float64 {
	if countIncludePad {
		return float64(g.KH * g.KW)
	}
	return float64(len(pixels))
}

func avgPool[T Float](s op.AvgPool2D, r device.Request) *kernel[T] {
	n := channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		eachWindow(s.Geometry, r.In[0].Shape, func(window int, pixels []int) {
			by := divisor(s.Geometry, s.CountIncludePad, pixels)
			for c := range n {
				sum := 0.0
				for _, p := range pixels {
					sum += float64(o.in[0][p*n+c])
				}
				o.out[window*n+c] = T(sum / by)
			}
		})
	})
}

func avgPoolGrad[T Float](s op.AvgPool2DGrad, r device.Request) *kernel[T] {
	n := channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		clear(o.out)
		eachWindow(s.Geometry, r.Out.Shape, func(window int, pixels []int) {
			by := divisor(s.Geometry, s.CountIncludePad, pixels)
			for c, dy := range row(o.in[0], window, n) {
				for _, p := range pixels {
					o.out[p*n+c] += T(float64(dy) / by)
				}
			}
		})
	})
}
