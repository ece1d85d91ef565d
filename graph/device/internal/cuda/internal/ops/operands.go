//go:build gpu

package ops

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// width is the last size of a value, 1 for a scalar.
func width(o device.Operand) int {
	if len(o.Shape) == 0 {
		return 1
	}
	return channels(o)
}

// Sizes of […,C] and [N,…,C].
func channels(o device.Operand) int { return o.Shape[len(o.Shape)-1] }
func rows(o device.Operand) int     { return op.Size(o.Shape) / channels(o) }
func samples(o device.Operand) int  { return o.Shape[0] }
func pixels(o device.Operand) int   { return rows(o) / samples(o) }
func size(o device.Operand) int     { return op.Size(o.Shape) }

// ceil is n/by, rounded up.
func ceil(n, by int) int { return (n + by - 1) / by }
