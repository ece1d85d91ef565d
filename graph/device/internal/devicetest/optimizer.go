package devicetest

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

// optimizer is a training step's end.
func optimizer() family {
	scalar := tensor.ScalarShape()
	f := family{
		name: "optimizer",
		cases: []testCase{
			{
				name: "many gradients", spec: op.GlobalNorm{},
				in: []tensor.Shape{{3, 3, 32, 64}, {64}, {320, 77}, scalar, {1, 1, 8, 8}},
			},
			{name: "clipped", spec: op.ClipScale{Max: 1}, in: []tensor.Shape{scalar}, fill: map[int]fill{0: values(2.5)}},
			{name: "not clipped", spec: op.ClipScale{Max: 1}, in: []tensor.Shape{scalar}, fill: map[int]fill{0: values(0.25)}},
			{name: "no gradient", spec: op.ClipScale{Max: 1}, in: []tensor.Shape{scalar}, fill: map[int]fill{0: values(0.0)}},
		},
		odd: map[string]func(*rapid.T) testCase{
			"AdamW": func(t *rapid.T) testCase {
				return adamW(anyShape(t), rapid.IntRange(1, 1000).Draw(t, "step"), rapid.Bool().Draw(t, "scaled"))
			},
			"Accumulate": func(t *rapid.T) testCase {
				return accumulate(anyShape(t), rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "keep"))
			},
			"MovingAverage": func(t *rapid.T) testCase {
				return movingAverage(anyShape(t), rapid.SampledFrom([]float64{1e-4, 0.1, 1}).Draw(t, "weight"))
			},
			"GlobalNorm": func(t *rapid.T) testCase {
				c := testCase{spec: op.GlobalNorm{}}
				for range rapid.IntRange(1, 9).Draw(t, "inputs") {
					c.in = append(c.in, anyShape(t))
				}
				return c
			},
			"ClipScale": func(t *rapid.T) testCase {
				return testCase{
					spec: op.ClipScale{Max: rapid.SampledFrom([]float64{0.1, 1, 10}).Draw(t, "max")},
					in:   []tensor.Shape{scalar}, fill: map[int]fill{0: uniform(0, 20)},
				}
			},
		},
	}
	for _, keep := range []float64{0, 1} {
		c := accumulate(tensor.Shape{3, 3, 64, 96}, keep)
		c.name = fmt.Sprintf("keep %g", keep)
		f.cases = append(f.cases, c)
	}
	for _, weight := range []float64{1e-4, 1} {
		c := movingAverage(tensor.Shape{3, 3, 64, 96}, weight)
		c.name = fmt.Sprintf("weight %g", weight)
		f.cases = append(f.cases, c)
	}
	for _, step := range []int{1, 2, 1000} {
		for _, scaled := range []bool{false, true} {
			c := adamW(tensor.Shape{3, 3, 64, 96}, step, scaled)
			c.name = fmt.Sprintf("step %d scaled=%t", step, scaled)
			f.cases = append(f.cases, c)
		}
	}
	return f
}

// adamW has a learning rate and a weight decay so large that an error in the step shows in the parameters.
func adamW(shape tensor.Shape, step int, scaled bool) testCase {
	hyper := op.AdamWConfig{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.3}.Hyper(0.5, step).Float32s()
	c := testCase{
		spec: op.AdamW{Scaled: scaled},
		in:   []tensor.Shape{shape, shape, shape, shape, {len(hyper)}},
		fill: map[int]fill{3: uniform(0, 2), 4: values(hyper...)},
	}
	if scaled {
		c.in = append(c.in, tensor.ScalarShape())
		c.fill[5] = values(0.37)
	}
	return c
}

// accumulate begins a sum where keep is 0: the old value, which is not a number, must not matter.
func accumulate(shape tensor.Shape, keep float64) testCase {
	c := testCase{spec: op.Accumulate{}, in: []tensor.Shape{shape, shape, {1}}, fill: map[int]fill{2: values(keep)}}
	if keep == 0 {
		c.fill[0] = uniform(math.NaN(), math.NaN())
	}
	return c
}

func movingAverage(shape tensor.Shape, weight float64) testCase {
	return testCase{spec: op.MovingAverage{}, in: []tensor.Shape{shape, shape, {1}}, fill: map[int]fill{2: values(weight)}}
}
