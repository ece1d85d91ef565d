package ref

import (
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// nearest maps each of size rows (or columns) to one of source rows, with the float32 arithmetic of
// torch.nn.functional.interpolate(mode="nearest").
func nearest(size, source int) []int {
	at := make([]int, size)
	scale := float32(source) / float32(size)
	for i := range at {
		at[i] = min(int(float32(i)*scale), source-1)
	}
	return at
}

// resized visits each pixel of images [N,H,W,C] and the pixel of the source that it copies; both count through all
// images.
func resized(source, to tensor.Shape, visit func(from, to int)) {
	ys, xs := nearest(to[1], source[1]), nearest(to[2], source[2])
	i := 0
	for n := range to[0] {
		for _, y := range ys {
			for _, x := range xs {
				visit((n*source[1]+y)*source[2]+x, i)
				i++
			}
		}
	}
}

func upsample[T element](_ op.Upsample, r device.Request) *kernel[T] {
	c := channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		resized(r.In[0].Shape, r.Out.Shape, func(from, to int) {
			copy(row(o.out, to, c), row(o.in[0], from, c))
		})
	})
}

func upsampleGrad[T element](_ op.UpsampleGrad, r device.Request) *kernel[T] {
	c := channels(r.Out.Shape)
	return simple(func(o operands[T]) {
		clear(o.out)
		resized(r.Out.Shape, r.In[0].Shape, func(from, to int) {
			source := row(o.out, from, c)
			addRow(source, source, row(o.in[0], to, c))
		})
	})
}
