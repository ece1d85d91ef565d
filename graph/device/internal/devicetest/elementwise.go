package devicetest

import (
	"fmt"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

func elementwise() family {
	f := family{name: "elementwise", odd: map[string]func(*rapid.T) testCase{}}
	// Both tails of the functions and the way between them.
	wide := map[int]fill{0: normal(0, 4)}
	acts := []op.Act{op.SiLU, op.GELU, op.QuickGELU, op.ReLU}
	for _, a := range acts {
		x := tensor.Shape{2, 50, 320}
		f.cases = append(f.cases,
			testCase{name: a.String(), spec: op.Activation{Act: a}, in: []tensor.Shape{x}, fill: wide},
			testCase{name: a.String(), spec: op.ActivationGrad{Act: a}, in: []tensor.Shape{x, x}, fill: wide},
			testCase{
				name: a.String() + " saturated", spec: op.Activation{Act: a}, in: []tensor.Shape{{8}},
				fill: map[int]fill{0: values(-1e4, -200, -90, -20.0, 0, 20, 200, 1e4)},
			},
			testCase{
				name: a.String() + " saturated", spec: op.ActivationGrad{Act: a}, in: []tensor.Shape{{8}, {8}},
				fill: map[int]fill{0: values(-1e4, -200, -90, -20.0, 0, 20, 200, 1e4)},
			})
	}
	f.odd["Activation"] = func(t *rapid.T) testCase {
		return testCase{
			spec: op.Activation{Act: rapid.SampledFrom(acts).Draw(t, "act")}, in: []tensor.Shape{anyShape(t)},
			fill: wide,
		}
	}
	f.odd["ActivationGrad"] = func(t *rapid.T) testCase {
		x := anyShape(t)
		return testCase{
			spec: op.ActivationGrad{Act: rapid.SampledFrom(acts).Draw(t, "act")}, in: []tensor.Shape{x, x},
			fill: wide,
		}
	}
	for name, build := range elementwiseOps() {
		for _, x := range []tensor.Shape{{2, 12, 10, 320}, {1, 77, 768}} {
			c := build(x)
			c.name = fmt.Sprint(x)
			f.cases = append(f.cases, c)
		}
		f.odd[name] = func(t *rapid.T) testCase { return build(batched(t)) }
	}
	f.cases = append(f.cases, timesteps()...)
	f.odd["TimestepEmbedding"] = func(t *rapid.T) testCase {
		return testCase{
			spec: op.TimestepEmbedding{Channels: 2 * (1 + size(t, "half", 65)), CosFirst: rapid.Bool().Draw(t, "cosines first")},
			in:   []tensor.Shape{{size(t, "N", 9)}},
			fill: map[int]fill{0: ids(1000)},
		}
	}
	return f
}

// elementwiseOps build the cases of x [N,…,C].
func elementwiseOps() map[string]func(x tensor.Shape) testCase {
	twice := func(x tensor.Shape) []tensor.Shape { return []tensor.Shape{x, x} }
	return map[string]func(tensor.Shape) testCase{
		"Add": func(x tensor.Shape) testCase { return testCase{spec: op.Add{}, in: twice(x)} },
		"Mul": func(x tensor.Shape) testCase { return testCase{spec: op.Mul{}, in: twice(x)} },
		"Scale": func(x tensor.Shape) testCase {
			return testCase{spec: op.Scale{Factor: -0.18215}, in: []tensor.Shape{x}}
		},
		"AddChannels": func(x tensor.Shape) testCase {
			return testCase{spec: op.AddChannels{}, in: []tensor.Shape{x, {x[0], last(x)}}}
		},
		"AddBatch": func(x tensor.Shape) testCase { return testCase{spec: op.AddBatch{}, in: []tensor.Shape{x, x[1:]}} },
		"GEGLU": func(x tensor.Shape) testCase {
			return testCase{spec: op.GEGLU{}, in: []tensor.Shape{with(x, 2*last(x))}}
		},
		"GEGLUGrad": func(x tensor.Shape) testCase {
			return testCase{spec: op.GEGLUGrad{}, in: []tensor.Shape{with(x, 2*last(x)), x}}
		},
	}
}

// timesteps are diffusers' Timesteps as Stable Diffusion configures them, and the other order and shift.
func timesteps() []testCase {
	steps := map[int]fill{0: values(0, 1, 20.0, 500, 999)}
	return []testCase{
		{name: "unet", spec: op.TimestepEmbedding{Channels: 320, CosFirst: true}, in: []tensor.Shape{{5}}, fill: steps},
		{name: "sines first", spec: op.TimestepEmbedding{Channels: 64, FreqShift: 1}, in: []tensor.Shape{{5}}, fill: steps},
	}
}
