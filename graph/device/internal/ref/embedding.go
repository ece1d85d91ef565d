package ref

import (
	"fmt"

	"github.com/histdist/histdist/graph/device"
)

func embedding[T element](r device.Request) *kernel[T] {
	c, vocabulary := channels(r.Out.Shape), r.In[1].Shape[0]
	check := func(o operands[T]) error {
		for i, id := range o.ids {
			if id < 0 || int(id) >= vocabulary {
				return fmt.Errorf("id %d at %d: want one in [0,%d)", id, i, vocabulary)
			}
		}
		return nil
	}
	return &kernel[T]{check: check, run: func(o operands[T]) {
		for i, id := range o.ids {
			copy(row(o.out, i, c), row(o.in[1], int(id), c))
		}
	}}
}
