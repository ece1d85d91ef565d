//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"sync"

	"github.com/histdist/histdist/graph/device"
)

// copies are constant weights as kernels want them: rounded, rearranged. Kernels that want one weight in the same way share the copy.
type copies struct {
	mu   sync.Mutex
	live map[copyKey]*copied
}

// copyKey is a weight and how it is laid out.
type copyKey struct {
	identity device.Pointer // device.Operand's
	bytes    int64          // of the weight
	layout   string
}

type copied struct {
	key    copyKey
	memory device.Memory
	users  int
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
	c, err := b.device.copies.get(copyKey{o.Identity, o.Bytes(), layout}, bytes, b.device, func(m device.Memory) error {
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
	return pointer{from: fixed, fixed: c.memory.Ptr}
}

// get returns the copy for a key, made by fill if there is none.
func (c *copies) get(key copyKey, bytes int64, d *Device, fill func(device.Memory) error) (*copied, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.live[key]; found != nil {
		found.users++
		return found, nil
	}
	m, err := d.Alloc(bytes)
	if err != nil {
		return nil, err
	}
	if err := fill(m); err != nil {
		return nil, errors.Join(err, d.Free(m))
	}
	if c.live == nil {
		c.live = map[copyKey]*copied{}
	}
	made := &copied{key, m, 1}
	c.live[key] = made
	return made, nil
}

// release gives a copy back.
func (c *copies) release(k *copied, d *Device) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.users--; k.users > 0 {
		return nil
	}
	if c.live[k.key] == k {
		delete(c.live, k.key)
	}
	return d.Free(k.memory)
}
