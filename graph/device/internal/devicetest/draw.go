package devicetest

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// fill draws an input; before are the inputs drawn already.
type fill func(rng *rand.Rand, shape tensor.Shape, before [][]float64) []float64

// rng is seeded by the case, so that its numbers are the same in every run.
func (c testCase) rng() *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(c.String()))
	return rand.New(rand.NewPCG(h.Sum64(), 1))
}

// draw fills the inputs with numbers that the program's precision can hold.
func (c testCase) draw(precision device.DType) [][]float64 {
	rng := c.rng()
	kinds, _ := c.spec.Kinds(len(c.in))
	var in [][]float64
	for i, shape := range c.in {
		f := c.fill[i]
		if f == nil {
			f = normal(0, 1)
		}
		t := dtype(kinds[i], precision)
		if t == device.Float64 {
			t = device.Float32
		}
		in = append(in, decode(encode(f(rng, shape, in), t), t))
	}
	return in
}

// normal is a normal distribution.
func normal(mean, deviation float64) fill {
	return each(func(rng *rand.Rand) float64 { return mean + deviation*rng.NormFloat64() })
}

// uniform is a uniform distribution.
func uniform(low, high float64) fill {
	return each(func(rng *rand.Rand) float64 { return low + (high-low)*rng.Float64() })
}

// ids are drawn from [0,n).
func ids(n int) fill { return each(func(rng *rand.Rand) float64 { return float64(rng.IntN(n)) }) }

// weights sum `terms` products to about 1, as in a trained network.
func weights(terms int) fill { return normal(0, 1/math.Sqrt(float64(terms))) }

// values are given.
func values[T ~float32 | ~float64](x ...T) fill {
	return func(*rand.Rand, tensor.Shape, [][]float64) []float64 {
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = float64(v)
		}
		return out
	}
}

func each(draw func(*rand.Rand) float64) fill {
	return func(rng *rand.Rand, shape tensor.Shape, _ [][]float64) []float64 {
		x := make([]float64, op.Size(shape))
		for i := range x {
			x[i] = draw(rng)
		}
		return x
	}
}
