package devicetest

import (
	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

// sizes are those where blocked loops go wrong: 1, primes, and around powers of two.
var sizes = []int{1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 15, 16, 17, 23, 31, 32, 33, 47, 48, 49, 63, 64, 65, 97, 127, 128, 129}

// size draws one of sizes up to most.
func size(t *rapid.T, label string, most int) int {
	n := 0
	for n < len(sizes) && sizes[n] <= most {
		n++
	}
	return rapid.SampledFrom(sizes[:n]).Draw(t, label)
}

// images draws [N,H,W,C].
func images(t *rapid.T) tensor.Shape {
	return tensor.Shape{size(t, "N", 3), size(t, "H", 13), size(t, "W", 13), size(t, "C", 33)}
}

// anyShape draws a shape of 1 to 3 axes.
func anyShape(t *rapid.T) tensor.Shape {
	var s tensor.Shape
	for range rapid.IntRange(0, 2).Draw(t, "leading axes") {
		s = append(s, size(t, "size", 11))
	}
	return append(s, size(t, "C", 129))
}

// batched draws a shape of 2 to 4 axes.
func batched(t *rapid.T) tensor.Shape {
	return append(tensor.Shape{size(t, "N", 3)}, anyShape(t)...)
}

// with is the shape with another last size.
func with(s tensor.Shape, n int) tensor.Shape {
	out := s.Clone()
	out[len(out)-1] = n
	return out
}

// geometry draws a convolution's walk over h×w pixels; the kernel fits.
func geometry(t *rapid.T, h, w int) op.Geometry {
	side := rapid.IntRange(0, 2)
	g := op.Geometry{
		Stride: rapid.IntRange(1, 3).Draw(t, "stride"),
		Pad: op.Padding{
			Top: side.Draw(t, "top"), Left: side.Draw(t, "left"), Bottom: side.Draw(t, "bottom"),
			Right: side.Draw(t, "right"),
		},
	}
	if rapid.Bool().Draw(t, "3×3") && h+g.Pad.Top+g.Pad.Bottom >= 3 && w+g.Pad.Left+g.Pad.Right >= 3 {
		g.KH, g.KW, g.Stride = 3, 3, rapid.IntRange(1, 2).Draw(t, "stride of 3×3")
		return g
	}
	g.KH = rapid.IntRange(1, min(5, h+g.Pad.Top+g.Pad.Bottom)).Draw(t, "KH")
	g.KW = rapid.IntRange(1, min(5, w+g.Pad.Left+g.Pad.Right)).Draw(t, "KW")
	return g
}

// divisor draws a divisor of n.
func divisor(t *rapid.T, label string, n int) int {
	var d []int
	for i := 1; i <= n; i++ {
		if n%i == 0 {
			d = append(d, i)
		}
	}
	return rapid.SampledFrom(d).Draw(t, label)
}

// activation draws one of the functions or none.
func activation(t *rapid.T) op.Act {
	return rapid.SampledFrom([]op.Act{op.NoAct, op.SiLU, op.GELU, op.QuickGELU, op.ReLU}).Draw(t, "act")
}

// stores are the kinds that a product's operands are stored as, so that both come with and without a residual.
var stores = [...]op.Kind{op.Exact, op.Exact, op.Feature, op.Feature}

// stored draws one of stores.
func stored(t *rapid.T) op.Kind { return rapid.SampledFrom(stores[:]).Draw(t, "store") }
