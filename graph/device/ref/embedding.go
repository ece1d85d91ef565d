package ref

import (
	"fmt"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// inVocabulary demands ids in [0,vocabulary).
func inVocabulary[T Float](vocabulary int) func(operands[T]) error {
	return func(o operands[T]) error {
		for i, id := range o.ids {
			if id < 0 || int(id) >= vocabulary {
				return fmt.Errorf("id %d at %d: want one in [0,%d)", id, i, vocabulary)
			}
		}
		return nil
	}
}

func embedding[T Float](r device.Request) *kernel[T] {
	c := channels(r.Out.Shape)
	return &kernel[T]{check: inVocabulary[T](r.In[1].Shape[0]), run: func(o operands[T]) {
		for i, id := range o.ids {
			copy(row(o.out, i, c), row(o.in[1], int(id), c))
		}
	}}
}

func embeddingGrad[T Float](s op.EmbeddingGrad, r device.Request) *kernel[T] {
	c := channels(r.Out.Shape)
	return &kernel[T]{check: inVocabulary[T](s.Rows), run: func(o operands[T]) {
		clear(o.out)
		for i, id := range o.ids {
			to := row(o.out, int(id), c)
			addRow(to, to, row(o.in[1], i, c))
		}
	}}
}
