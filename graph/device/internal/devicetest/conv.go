package devicetest

import (
	"fmt"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

// layer is a convolution of a real network over an image made small.
type layer struct {
	name             string
	n, h, w          int
	in, out          int
	geometry         op.Geometry
	resizeH, resizeW int
}

func square(k, stride int, pad op.Padding) op.Geometry {
	return op.Geometry{KH: k, KW: k, Stride: stride, Pad: pad}
}

// row and column are kernels of n×1 pixels over an image that keeps its size.
func row(n int) op.Geometry {
	return op.Geometry{KH: 1, KW: n, Stride: 1, Pad: op.Padding{Left: n / 2, Right: n / 2}}
}

func column(n int) op.Geometry {
	return op.Geometry{KH: n, KW: 1, Stride: 1, Pad: op.Padding{Top: n / 2, Bottom: n / 2}}
}

func convLayers() []layer {
	same := square(3, 1, op.Pad(1))
	one := square(1, 1, op.Pad(0))
	return []layer{
		{name: "unet resnet", n: 1, h: 16, w: 16, in: 320, out: 320, geometry: same},
		{name: "unet bottleneck", n: 2, h: 3, w: 3, in: 1280, out: 160, geometry: same},
		{name: "unet conv_in", n: 2, h: 16, w: 16, in: 8, out: 320, geometry: same},
		{name: "unet conv_out", n: 2, h: 16, w: 16, in: 320, out: 4, geometry: same},
		{name: "unet shortcut", n: 1, h: 12, w: 12, in: 640, out: 320, geometry: one},
		{name: "unet downsample", n: 1, h: 16, w: 16, in: 320, out: 320, geometry: square(3, 2, op.Pad(1))},
		{name: "unet upsample", n: 1, h: 6, w: 6, in: 320, out: 320, geometry: same, resizeH: 12, resizeW: 12},
		{name: "unet upsample to odd", n: 1, h: 5, w: 4, in: 160, out: 96, geometry: same, resizeH: 9, resizeW: 7},
		{name: "resize that float32 decides", n: 1, h: 14, w: 2, in: 3, out: 8, geometry: same, resizeH: 46, resizeW: 82},
		{name: "vae conv_in", n: 1, h: 40, w: 24, in: 3, out: 128, geometry: same},
		{name: "vae conv_out", n: 1, h: 24, w: 40, in: 128, out: 3, geometry: same},
		{
			name: "vae downsample", n: 1, h: 24, w: 24, in: 128, out: 128,
			geometry: square(3, 2, op.Padding{Bottom: 1, Right: 1}),
		},
		{name: "vae quant_conv", n: 1, h: 16, w: 16, in: 8, out: 8, geometry: one},
		{name: "inception 1×7", n: 1, h: 9, w: 17, in: 768, out: 192, geometry: row(7)},
		{name: "inception 7×1", n: 1, h: 17, w: 17, in: 160, out: 192, geometry: column(7)},
		{name: "inception 1×3", n: 2, h: 8, w: 8, in: 384, out: 384, geometry: row(3)},
		{name: "inception 3×1", n: 1, h: 8, w: 8, in: 448, out: 384, geometry: column(3)},
		{name: "inception reduction", n: 1, h: 17, w: 17, in: 192, out: 320, geometry: square(3, 2, op.Pad(0))},
		{name: "inception stem", n: 1, h: 35, w: 27, in: 3, out: 32, geometry: square(3, 2, op.Pad(0))},
		{name: "inception stem", n: 1, h: 21, w: 19, in: 32, out: 32, geometry: square(3, 1, op.Pad(0))},
		{name: "inception 5×5", n: 1, h: 13, w: 11, in: 48, out: 64, geometry: square(5, 1, op.Pad(2))},
		{
			name: "padded on one side", n: 1, h: 9, w: 10, in: 33, out: 17,
			geometry: square(4, 1, op.Padding{Top: 3, Right: 3}),
		},
		{name: "resnet stem", n: 1, h: 56, w: 48, in: 3, out: 64, geometry: square(7, 2, op.Pad(3))},
		{name: "resnet shortcut", n: 2, h: 14, w: 14, in: 256, out: 512, geometry: square(1, 2, op.Pad(0))},
		{name: "resnet shortcut of an odd image", n: 1, h: 7, w: 9, in: 64, out: 128, geometry: square(1, 2, op.Pad(0))},
		{name: "vit patches", n: 1, h: 64, w: 48, in: 3, out: 768, geometry: square(16, 16, op.Pad(0))},
	}
}

func conv() family {
	f := family{name: "conv", odd: map[string]func(*rapid.T) testCase{
		"Conv2D": func(t *rapid.T) testCase {
			l := oddLayer(t)
			if rapid.Bool().Draw(t, "resize") {
				l.resizeH, l.resizeW = l.h, l.w
				l.h, l.w = size(t, "from H", 13), size(t, "from W", 13)
			}
			return l.forward(rapid.Bool().Draw(t, "bias"), rapid.Bool().Draw(t, "residual"), activation(t), stored(t), stored(t))
		},
		"ConvDataGrad": func(t *rapid.T) testCase {
			return oddLayer(t).dataGrad(rapid.Bool().Draw(t, "residual"), stored(t))
		},
		"ConvWeightGrad": func(t *rapid.T) testCase { return oddLayer(t).weightGrad() },
	}}
	acts := []op.Act{op.NoAct, op.SiLU, op.NoAct, op.GELU, op.QuickGELU, op.ReLU, op.ReLU}
	for i, l := range convLayers() {
		// Every combination of bias, residual, activation and how the result is stored comes in some layer.
		store := stores[i%len(stores)]
		f.cases = append(f.cases, l.forward(i%4 != 3, i%2 == 0, acts[i%len(acts)], stores[i/2%len(stores)], store),
			l.dataGrad(i%2 == 1, store), l.weightGrad())
	}
	return f
}

func oddLayer(t *rapid.T) layer {
	x := images(t)
	return layer{
		n: x[0], h: x[1], w: x[2], in: x[3], out: size(t, "O", 49),
		geometry: geometry(t, x[1], x[2]),
	}
}

// source is the size of the image that the convolution walks over.
func (l layer) source() (h, w int) {
	if l.resizeH > 0 {
		return l.resizeH, l.resizeW
	}
	return l.h, l.w
}

func (l layer) weight() tensor.Shape {
	return tensor.Shape{l.geometry.KH, l.geometry.KW, l.in, l.out}
}

// output is the shape [N,H',W',O].
func (l layer) output() tensor.Shape {
	h, w := l.geometry.Out(l.source())
	return tensor.Shape{l.n, h, w, l.out}
}

func (l layer) forward(bias, residual bool, act op.Act, from, store op.Kind) testCase {
	c := testCase{
		name: fmt.Sprintf("%s bias=%t residual=%t %v %v to %v", l.name, bias, residual, act, from, store),
		spec: op.Conv2D{
			Geometry: l.geometry, ResizeH: l.resizeH, ResizeW: l.resizeW, Bias: bias, Residual: residual, Act: act, From: from,
			Store: store,
		},
		in:   []tensor.Shape{{l.n, l.h, l.w, l.in}, l.weight()},
		fill: map[int]fill{1: weights(l.geometry.KH * l.geometry.KW * l.in)},
	}
	if bias {
		c.in = append(c.in, tensor.Shape{l.out})
	}
	if residual {
		c.in = append(c.in, l.output())
	}
	return c
}

func (l layer) dataGrad(residual bool, store op.Kind) testCase {
	h, w := l.source()
	c := testCase{
		name: fmt.Sprintf("%s residual=%t %v", l.name, residual, store),
		spec: op.ConvDataGrad{Geometry: l.geometry, H: h, W: w, Residual: residual, Store: store},
		in:   []tensor.Shape{l.output(), l.weight()},
		fill: map[int]fill{1: weights(l.geometry.KH * l.geometry.KW * l.out)},
	}
	if residual {
		c.in = append(c.in, tensor.Shape{l.n, h, w, l.in})
	}
	return c
}

func (l layer) weightGrad() testCase {
	h, w := l.source()
	return testCase{
		name: l.name,
		spec: op.ConvWeightGrad{Geometry: l.geometry},
		in:   []tensor.Shape{{l.n, h, w, l.in}, l.output()},
	}
}
