//go:build gpu

package cuda

import "github.com/histdist/histdist/graph/op"

func optimizer(b *builder) bool {
	n := size(b.request.Out)
	at := func(i int) pointer { return b.in(i).pointer }
	switch s := b.request.Spec.(type) {
	case op.Accumulate:
		b.flat("accumulate", n, at(0), at(1), at(2), n)
	case op.AdamW:
		b.flat("adamw", n, at(0), at(1), at(2), at(3), at(4), b.optional(5, s.Scaled).pointer, n)
	case op.MovingAverage:
		b.flat("moving_average", n, at(0), at(1), at(2), n)
	case op.ClipScale:
		b.each("clip_scale", 1, at(0), b.out().pointer, float32(s.Max))
	default:
		return false
	}
	return true
}
