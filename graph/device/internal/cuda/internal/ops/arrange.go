//go:build gpu

package ops

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

// inner is the number of elements from one place on an axis to the next, and stride from one row of the axes before it.
func inner(o device.Operand, axis int) int  { return op.Size(o.Shape[axis+1:]) }
func stride(o device.Operand, axis int) int { return op.Size(o.Shape[axis:]) }

func arrange(b *builder) bool {
	r := b.Request
	n, y := size(r.Out), b.Out()
	switch s := r.Spec.(type) {
	case op.Concat:
		if len(r.In) == 2 {
			b.Flat("concat", n, b.In(0), b.In(1), y, n, stride(r.In[0], s.Axis), stride(r.In[1], s.Axis))
			break
		}
		at, to := 0, stride(r.Out, s.Axis)
		for i, x := range r.In {
			width := stride(x, s.Axis)
			b.Flat("copy_rows", size(x), b.In(i), y, size(x), width, width, 0, to, at)
			at += width
		}
	case op.Slice:
		to := stride(r.Out, s.Axis)
		b.Flat("copy_rows", n, b.In(0), y, n, to, stride(r.In[0], s.Axis), s.Offset*inner(r.Out, s.Axis), to, 0)
	case op.ZeroPad:
		b.Flat("zero_pad", n, b.In(0), y, n, stride(r.In[0], s.Axis), s.Before*inner(r.Out, s.Axis), stride(r.Out, s.Axis))
	case op.Upsample:
		b.resize("upsample", r.In[0], r.Out, n)
	case op.UpsampleGrad:
		b.resize("upsample_grad", r.Out, r.In[0], n)
	case op.Embedding:
		b.Each("embedding", n, b.In(0).Pointer, b.In(1), y, n, channels(r.Out), r.In[1].Shape[0], b.Fault())
	default:
		return false
	}
	return true
}

// resize launches a kernel between images [N,h,w,C] and the same resized to [N,height,width,C].
func (b *builder) resize(name string, source, resized device.Operand, n int) {
	b.resizeTo(name, source, resized, b.In(0), b.Out(), n)
}

// resizeTo does it from one place to another.
func (b *builder) resizeTo(name string, source, resized device.Operand, from, to launch.Value, n int) {
	h, w, height, width := source.Shape[1], source.Shape[2], resized.Shape[1], resized.Shape[2]
	g := launch.Structure{h, w, height, width, channels(source), float32(h) / float32(height), float32(w) / float32(width)}
	b.Flat(name, n, from, to, n, g)
}
