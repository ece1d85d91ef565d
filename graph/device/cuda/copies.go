//go:build gpu

package cuda

import (
	"errors"
	"fmt"

	"github.com/histdist/histdist/graph/device"
)

// copyKey is a constant weight and how kernels want it: rounded, rearranged. Kernels that want one weight in the same way share the copy.
type copyKey struct {
	identity device.Pointer // device.Operand's
	bytes    int64          // of the weight
	layout   string
}

// asBFloat16 is the layout of a weight that is rounded to bfloat16 and lies as it did.
const asBFloat16 = "bfloat16"

// copied returns a copy of input i, which is constant, for as long as the kernel lives. fill launches what makes it, if no kernel has it
// yet. Where Run doesn't read the input itself any more, the caller adds it to unread.
func (b *builder) copied(i int, layout string, bytes int64, fill func(b *builder, to pointer)) (to pointer) {
	if b.err != nil {
		return pointer{}
	}
	o := b.request.In[i]
	c, err := b.device.copies.Hold(b.device, copyKey{o.Identity, o.Bytes(), layout}, bytes, func(m device.Memory) error {
		maker := &builder{device: b.device, request: b.request}
		fill(maker, pointer{from: fixed, fixed: m.Ptr})
		if maker.err != nil {
			return maker.err
		}
		if maker.workspace > 0 || len(maker.products) > 0 || len(maker.held) > 0 {
			return errors.Join(fmt.Errorf("a copy of a weight is made without workspace and other copies"), maker.close())
		}
		in := make([]device.Pointer, len(b.request.In))
		in[i] = o.Const
		return (&ordered{b.device, maker.kernel()}).Run(m.Ptr, in, nil)
	})
	if err != nil {
		b.err = fmt.Errorf("a copy of input %d as %s: %w", i, layout, err)
		return pointer{}
	}
	b.held = append(b.held, c)
	return pointer{from: fixed, fixed: c.Ptr}
}
