//go:build gpu

package ops

import (
	"errors"
	"fmt"
	"slices"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
)

// copyKey is a constant weight and how kernels want it: rounded, rearranged. Kernels that want one weight in the same
// way share the copy.
type copyKey struct {
	identity device.Pointer // device.Operand's
	bytes    int64          // of the weight
	layout   string
}

// asBFloat16 is the layout of a weight that is rounded to bfloat16 in the same order.
const asBFloat16 = "bfloat16"

// copied returns a copy of input i, which is constant, for as long as the kernel lives. fill launches what makes it,
// if no kernel has it yet. Where Run no longer reads the input itself, the caller adds it to Unread.
func (b *builder) copied(i int, layout string, bytes int64, fill func(*builder, launch.Pointer)) launch.Pointer {
	if b.Err != nil {
		return launch.Pointer{}
	}
	g, o := b.gpu, b.Request.In[i]
	c, err := g.copies.Hold(g.Memory, copyKey{o.Identity, o.Bytes(), layout}, bytes, func(m device.Memory) error {
		maker := g.builder(b.Request)
		fill(maker, launch.Fixed(m.Ptr))
		if maker.Err != nil {
			return maker.Err
		}
		if !maker.Plain() {
			return errors.Join(fmt.Errorf("a copy of a weight is made without workspace and other copies"), maker.close())
		}
		in := make([]device.Pointer, len(b.Request.In))
		in[i] = o.Const
		return (&ordered{g, maker.kernel()}).Run(m.Ptr, in, nil)
	})
	if err != nil {
		b.Err = fmt.Errorf("a copy of input %d as %s: %w", i, layout, err)
		return launch.Pointer{}
	}
	b.Hold(func() error { return g.copies.Drop(g.Memory, c) })
	return launch.Fixed(c.Ptr)
}

// copies reports whether kernels may hold copies of input i: it is constant, and there is memory.
func (b *builder) copies(i int) bool {
	o := b.Request.In[i]
	return o.Const != nil && o.Identity != nil && !b.Request.LowMemory
}

// weight is input 1 as it is multiplied: cuBLASLt's factors are of one element type, so that with bfloat16 features a
// weight is rounded to bfloat16.
func (b *builder) weight() launch.Value {
	if !b.rounds(1) {
		return b.In(1)
	}
	return b.bfloat16(1, true)
}

// bfloat16 is input i in bfloat16: rounded once, if it is constant, else in each run. alone says that Run reads
// nothing else of it.
func (b *builder) bfloat16(i int, alone bool) launch.Value {
	return b.halfOf(i, alone, "product_round", asBFloat16)
}

// halfOf is what a kernel makes of input i in bfloat16, as a layout that kernels share.
func (b *builder) halfOf(i int, alone bool, kernel, layout string) launch.Value {
	if !b.copies(i) {
		return b.half(kernel, i)
	}
	if alone && !slices.Contains(b.Unread, i) {
		b.Unread = append(b.Unread, i)
	}
	n := size(b.Request.In[i])
	return launch.Value{Pointer: b.copied(i, layout, 2*int64(n), func(b *builder, to launch.Pointer) {
		b.Eights(kernel, n, b.In(i).Pointer, to, n)
	}), BF16: true}
}

// half launches a kernel that makes bfloat16 of input i.
func (b *builder) half(kernel string, i int) launch.Value {
	n := size(b.Request.In[i])
	to := b.Halves(n)
	b.Eights(kernel, n, b.In(i).Pointer, to.Pointer, n)
	return to
}

// feature is input i as products take it: in programs of bfloat16 an exact value is rounded, in each run.
func (b *builder) feature(i int) launch.Value {
	if !b.rounds(i) {
		return b.In(i)
	}
	return b.half("product_round", i)
}

// rounds reports whether products round input i: cuBLASLt's factors are of one element type.
func (b *builder) rounds(i int) bool {
	r := b.Request
	bfloat16 := r.Features == device.BFloat16 || r.In[0].DType == device.BFloat16
	return b.gpu.lt != nil && bfloat16 && r.In[i].DType == device.Float32
}

// splits reports whether the product is the residual stream itself, as in shortcuts and downsamplers: an exact result
// of exact values, to which nothing is added. There both factors are split into their bfloat16 rounding and the
// remainder.
func (b *builder) splits(i int, residual bool) bool {
	return !residual && b.rounds(i) && b.Request.Out.DType == device.Float32
}

// splitWeight is a weight rounded to bfloat16, and what that leaves of it.
type splitWeight struct {
	rounded, rest launch.Value
	split         bool
}

func (b *builder) splitWeight(split bool) splitWeight {
	w := splitWeight{rounded: b.weight(), split: split}
	if split {
		w.rest = b.halfOf(1, true, "product_rest", asBFloat16+", the rest")
	}
	return w
}
