package devicetest

import (
	"fmt"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

// posterior is the operations on an autoencoder's moments.
func posterior() family {
	f := family{name: "posterior", odd: map[string]func(*rapid.T) testCase{}}
	for name, build := range posteriorOps() {
		for _, x := range []tensor.Shape{{2, 64, 64, 4}, {1, 9, 7, 19}} {
			c := build(x, normal(-3, 4))
			c.name = fmt.Sprint(x)
			f.cases = append(f.cases, c)
		}
		low := build(tensor.Shape{1, 4}, values(1, 2, 3, 4, -1e4, -30.5, -30, -29.5))
		high := build(tensor.Shape{1, 4}, values(1, 2, 3, 4, 19.5, 20, 20.5, 1e3))
		low.name, high.name = "clamped below", "clamped above"
		f.cases = append(f.cases, low, high)
		f.odd[name] = func(t *rapid.T) testCase { return build(batched(t), normal(0, 3)) }
	}
	return f
}

// posteriorOps build the cases of latents [N,…,C], whose moments are drawn by a fill.
func posteriorOps() map[string]func(x tensor.Shape, moments fill) testCase {
	scalar := tensor.ScalarShape()
	both := func(x tensor.Shape) tensor.Shape { return with(x, 2*last(x)) }
	return map[string]func(tensor.Shape, fill) testCase{
		"PosteriorSample": func(x tensor.Shape, moments fill) testCase {
			return testCase{spec: op.PosteriorSample{}, in: []tensor.Shape{both(x), x}, fill: map[int]fill{0: moments}}
		},
		"PosteriorSampleGrad": func(x tensor.Shape, moments fill) testCase {
			return testCase{spec: op.PosteriorSampleGrad{}, in: []tensor.Shape{both(x), x, x}, fill: map[int]fill{0: moments}}
		},
		"KLDivergence": func(x tensor.Shape, moments fill) testCase {
			return testCase{spec: op.KLDivergence{}, in: []tensor.Shape{both(x)}, fill: map[int]fill{0: moments}}
		},
		"KLDivergenceGrad": func(x tensor.Shape, moments fill) testCase {
			return testCase{
				spec: op.KLDivergenceGrad{}, in: []tensor.Shape{both(x), scalar}, fill: map[int]fill{0: moments, 1: values(0.7)},
			}
		},
	}
}
