package devicetest

import (
	"fmt"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

// reduce is sums and the loss.
func reduce() family {
	f := family{name: "reduce", odd: map[string]func(*rapid.T) testCase{}}
	for name, build := range reductions() {
		for _, x := range []tensor.Shape{{2, 24, 24, 320}, {3, 16, 16, 4}, {2, 77, 768}} {
			c := build(x)
			c.name = fmt.Sprint(x)
			f.cases = append(f.cases, c)
		}
		f.odd[name] = func(t *rapid.T) testCase { return build(batched(t)) }
	}
	return f
}

// reductions build the cases of x [N,…,C].
func reductions() map[string]func(x tensor.Shape) testCase {
	one := func(s op.Spec) func(tensor.Shape) testCase {
		return func(x tensor.Shape) testCase { return testCase{spec: s, in: []tensor.Shape{x}} }
	}
	scalar := tensor.ScalarShape()
	return map[string]func(tensor.Shape) testCase{
		"SumRows":   one(op.SumRows{}),
		"SumPixels": one(op.SumPixels{}),
		"SumBatch":  one(op.SumBatch{}),
		"MSE":       func(x tensor.Shape) testCase { return testCase{spec: op.MSE{}, in: []tensor.Shape{x, x}} },
		"MSE weighted": func(x tensor.Shape) testCase {
			return testCase{
				spec: op.MSE{Weighted: true}, in: []tensor.Shape{x, x, {x[0]}},
				fill: map[int]fill{2: uniform(0.1, 5)},
			}
		},
		"MSEGrad": func(x tensor.Shape) testCase {
			return testCase{spec: op.MSEGrad{}, in: []tensor.Shape{x, x, scalar}, fill: map[int]fill{2: values(0.7)}}
		},
		"MSEGrad weighted": func(x tensor.Shape) testCase {
			return testCase{
				spec: op.MSEGrad{Weighted: true}, in: []tensor.Shape{x, x, scalar, {x[0]}},
				fill: map[int]fill{2: values(0.7), 3: uniform(0.1, 5)},
			}
		},
	}
}
