package ref

import "github.com/histdist/histdist/graph/op"

// timestepEmbedding has float32's rounding in a float64 program too: it is part of the definition.
func timestepEmbedding[T element](s op.TimestepEmbedding) *kernel[T] {
	return simple(func(o operands[T]) {
		values := make([]float32, s.Channels)
		for i, t := range o.in[0] {
			s.Embed(values, float32(t))
			for c, v := range values {
				o.out[i*s.Channels+c] = T(v)
			}
		}
	})
}
