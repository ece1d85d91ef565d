package devicetest

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// How far a result may be off.
//
// The measure is the L2 norm of the error over the elements, relative to that of the exact result, or to the size of
// what cancels in it if that is more (magnitude.go): a sum of 1000 products can be 0. The bound is
//
//	float32   u·(8 + √K), u = 2^-24, for sums of K terms. Random rounding errors of a running sum add up to
//	          u·√(K/6); √K leaves a factor of 2.4, and 8 roundings serve what comes before and after the sum.
//	          3×3 convolutions of stride 1: at least 1e-5, the cost of Winograd's F(4×4,3×3) (Lavin and Gray 2016).
//	float64   the same with u = 2^-53.
//	bfloat16  6e-3 for outputs stored so. One rounding costs 2^-8/√3 of an element's power of two, 1.5e-3 of the
//	          norm; this leaves room for a device that also rounds weights and an intermediate value. Exact outputs
//	          of products with a weight have 4e-3, for the rounded weights. All other exact outputs have float32's
//	          bound: products of bfloat16 numbers are exact in float32, and sums are kept in float32.
//	any       0 where elements are only moved, or rounded once to how the output is stored.
//
// In addition no element may be off by more than 32 times that: one wrong element among a million does not show in a
// norm. NaN and infinity always fail.
const elementFactor = 32

func (c testCase) bound(precision device.DType, out device.DType, n int) float64 {
	unit := 0x1p-24
	switch {
	case moves(c.spec):
		return 0
	case out == device.BFloat16:
		return 6e-3 * (1 + 1/float64(n)) // a handful of roundings have no average
	case precision == device.BFloat16 && weighted(c.spec):
		return 4e-3 * (1 + 1/float64(n))
	case precision == device.Float64:
		unit = 0x1p-53
	}
	b := unit * (8 + math.Sqrt(float64(c.terms())))
	if winograd(c.spec) && precision != device.Float64 {
		b = max(b, 1e-5)
	}
	if _, ok := c.spec.(op.TimestepEmbedding); ok && precision != device.Float64 {
		// The angle is up to 1000 radians and as exact as float32 has it: 3e-5.
		b = 5e-5
	}
	return b
}

// moves reports whether an operation only moves elements, or rounds them once to nearest, ties to even.
func moves(s op.Spec) bool {
	switch s.(type) {
	case op.Concat, op.Slice, op.ZeroPad, op.Upsample, op.Embedding, op.Cast, op.MaxPool2D:
		return true
	}
	return false
}

// weighted reports whether an operation is a product with a weight.
func weighted(s op.Spec) bool {
	switch s.(type) {
	case op.Conv2D, op.Linear, op.ConvDataGrad, op.LinearDataGrad:
		return true
	}
	return false
}

func winograd(s op.Spec) bool {
	var g op.Geometry
	switch c := s.(type) {
	case op.Conv2D:
		g = c.Geometry
	case op.ConvDataGrad:
		g = c.Geometry
	case op.ConvWeightGrad:
		g = c.Geometry
	}
	return g.KH == 3 && g.KW == 3 && g.Stride == 1
}

// terms is the number of terms in the sum for one element of the output.
func (c testCase) terms() int {
	in := c.in
	x := in[0]
	switch s := c.spec.(type) {
	case op.Conv2D:
		return s.KH * s.KW * x[3]
	case op.ConvDataGrad:
		return s.KH * s.KW * x[3]
	case op.ConvWeightGrad:
		return op.Size(in[1]) / last(in[1])
	case op.AvgPool2D:
		return s.KH * s.KW
	case op.Linear, op.LinearDataGrad, op.LayerNorm, op.LayerNormGradInput:
		return last(x)
	case op.LinearWeightGrad, op.LayerNormGradParams, op.SumRows, op.SumPixels, op.GroupNormGradSums:
		return op.Size(x) / last(x)
	case op.SumBatch:
		return x[0]
	case op.GroupNormStats:
		return op.Size(x) / x[0] / s.Groups
	case op.Attention:
		return last(x)/s.Heads + in[1][1]
	case op.AttentionGrad:
		return 2*last(x)/s.Heads + max(x[1], in[1][1])
	case op.MSE, op.KLDivergence:
		return op.Size(x)
	case op.UpsampleGrad:
		return (x[1]/s.H + 1) * (x[2]/s.W + 1)
	case op.GlobalNorm:
		n := 0
		for _, s := range in {
			n += op.Size(s)
		}
		return n
	}
	return 1
}

func last(s tensor.Shape) int { return s[len(s)-1] }

// exact is the right result of a case: its parts, and the magnitudes that their errors are relative to.
type exact struct {
	parts [][]float64
	sizes []float64
}

// truth are the results that the oracle computed in float64, to be compared with.
func (c testCase) truth(in [][]float64, results []result) []exact {
	list := make([]exact, len(results))
	for i, r := range results {
		parts := c.parts(decode(r.data, r.dtype))
		list[i] = exact{parts, c.magnitudes(in, parts)}
	}
	return list
}

// compare reports whether got is near want, each part of the output by itself.
func (c testCase) compare(got []result, want []exact, precision device.DType) error {
	for i, r := range got {
		for p, g := range c.parts(decode(r.data, r.dtype)) {
			w := want[i].parts[p]
			if moves(c.spec) {
				w = decode(encode(w, r.dtype), r.dtype)
			}
			if err := near(g, w, want[i].sizes[p], c.bound(precision, r.dtype, len(g))); err != nil {
				if len(got) > 1 {
					err = fmt.Errorf("updated input %d: %w", c.spec.(op.Updater).Updates()[i], err)
				}
				if len(want[i].parts) > 1 {
					err = fmt.Errorf("part %d: %w", p, err)
				}
				return err
			}
		}
	}
	return nil
}

// near compares two vectors; size is the root mean square that the error is relative to if want's is less.
func near(got, want []float64, size, bound float64) error {
	size = max(size, rms(want))
	sum := 0.0
	worst, at := -1.0, 0
	for i := range got {
		if math.IsNaN(got[i]) || math.IsInf(got[i], 0) {
			return fmt.Errorf("element %d is %g, want %g", i, got[i], want[i])
		}
		e := math.Abs(got[i] - want[i])
		sum += e * e
		if e > worst {
			worst, at = e, i
		}
	}
	if e := math.Sqrt(sum / float64(len(got))); e > bound*size {
		return fmt.Errorf("relative error %.2g, want at most %.2g; element %d of %d is %g, want %g",
			e/size, bound, at, len(got), got[at], want[at])
	}
	if limit := elementFactor * bound * (size + math.Abs(want[at])); worst > limit {
		return fmt.Errorf("element %d of %d is %g, want %g ± %.2g", at, len(got), got[at], want[at], limit)
	}
	return nil
}

// parts splits an output into parts that are measured separately.
func (c testCase) parts(out []float64) [][]float64 {
	switch c.spec.(type) {
	case op.GroupNormStats: // mean, 1/deviation
		return interleaved(out, 1)
	case op.LayerNormGradParams, op.GroupNormGradSums: // rows for beta and gamma
		return interleaved(out, last(c.in[0]))
	case op.PosteriorSampleGrad, op.KLDivergenceGrad: // gradients of the mean, of logvar
		return interleaved(out, last(c.in[0])/2)
	case op.AttentionGrad: // gradients of q, k, v
		q, k := op.Size(c.in[0]), op.Size(c.in[1])
		return [][]float64{out[:q], out[q : q+k], out[q+k:]}
	}
	return [][]float64{out}
}

// interleaved splits x, which takes stretches of n elements from the first part and the second in turn.
func interleaved(x []float64, n int) [][]float64 {
	parts := make([][]float64, 2)
	for i := 0; i < len(x); i += n {
		p := i / n % 2
		parts[p] = append(parts[p], x[i:i+n]...)
	}
	return parts
}

// rms is the root mean square.
func rms(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum / float64(max(len(x), 1)))
}
