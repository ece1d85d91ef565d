package ref

import (
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// Along an axis a value is outer rows of size·inner elements, where size is the axis' size.

func outer(s tensor.Shape, axis int) int { return op.Size(s[:axis]) }

// stride is the length of such a row.
func stride(s tensor.Shape, axis int) int { return op.Size(s[axis:]) }

// inner is the number of elements from one place on the axis to the next.
func inner(s tensor.Shape, axis int) int { return op.Size(s[axis+1:]) }

func concat[T element](s op.Concat, r device.Request) *kernel[T] {
	n, to := outer(r.Out.Shape, s.Axis), stride(r.Out.Shape, s.Axis)
	return simple(func(o operands[T]) {
		at := 0
		for i, x := range o.in {
			from := stride(r.In[i].Shape, s.Axis)
			for j := range n {
				copy(row(o.out, j, to)[at:], row(x, j, from))
			}
			at += from
		}
	})
}

func slice[T element](s op.Slice, r device.Request) *kernel[T] {
	n, to := outer(r.Out.Shape, s.Axis), stride(r.Out.Shape, s.Axis)
	from, skip := stride(r.In[0].Shape, s.Axis), s.Offset*inner(r.Out.Shape, s.Axis)
	return simple(func(o operands[T]) {
		for j := range n {
			copy(row(o.out, j, to), row(o.in[0], j, from)[skip:])
		}
	})
}

func zeroPad[T element](s op.ZeroPad, r device.Request) *kernel[T] {
	n, to := outer(r.Out.Shape, s.Axis), stride(r.Out.Shape, s.Axis)
	from, before := stride(r.In[0].Shape, s.Axis), s.Before*inner(r.Out.Shape, s.Axis)
	return simple(func(o operands[T]) {
		clear(o.out)
		for j := range n {
			copy(row(o.out, j, to)[before:], row(o.in[0], j, from))
		}
	})
}
