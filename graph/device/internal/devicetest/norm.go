package devicetest

import (
	"fmt"
	"math/rand/v2"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

// groups is a group norm over x [N,…,C].
type groups struct {
	name   string
	x      tensor.Shape
	groups int
	silu   bool
	mean   float64 // of x, whose deviation is 1
}

const normEps = 1e-5

func norm() family {
	f := family{name: "norm", odd: map[string]func(*rapid.T) testCase{
		"GroupNormStats":     func(t *rapid.T) testCase { return oddGroups(t).stats() },
		"GroupNorm":          func(t *rapid.T) testCase { return oddGroups(t).forward() },
		"GroupNormGradSums":  func(t *rapid.T) testCase { return oddGroups(t).gradSums() },
		"GroupNormGradInput": func(t *rapid.T) testCase { return oddGroups(t).gradInput() },
	}}
	for i, g := range []groups{
		{name: "unet 320", x: tensor.Shape{2, 16, 16, 320}, groups: 32},
		{name: "unet 640", x: tensor.Shape{1, 8, 8, 640}, groups: 32},
		{name: "unet 960", x: tensor.Shape{1, 8, 8, 960}, groups: 32},
		{name: "unet 1920", x: tensor.Shape{1, 4, 4, 1920}, groups: 32},
		{name: "unet 2560", x: tensor.Shape{2, 4, 4, 2560}, groups: 32},
		{name: "vae 128", x: tensor.Shape{1, 48, 32, 128}, groups: 32},
		{name: "tokens", x: tensor.Shape{1, 100, 512}, groups: 32},
		{name: "far from zero", x: tensor.Shape{1, 16, 16, 64}, groups: 32, mean: 100},
	} {
		g.silu = i%2 == 0
		f.cases = append(f.cases, g.stats(), g.forward(), g.gradSums(), g.gradInput())
	}
	for name, build := range layerNorms() {
		f.odd[name] = func(t *rapid.T) testCase { return build(anyShape(t), 0) }
		for _, x := range []tensor.Shape{{1, 77, 768}, {1, 64, 320}, {2, 16, 1280}} {
			c := build(x, 0)
			c.name = fmt.Sprint(last(x))
			f.cases = append(f.cases, c)
		}
		c := build(tensor.Shape{9, 768}, 100)
		c.name = "far from zero"
		f.cases = append(f.cases, c)
	}
	return f
}

func oddGroups(t *rapid.T) groups {
	x := batched(t)
	return groups{x: x, groups: divisor(t, "groups", last(x)), silu: rapid.Bool().Draw(t, "silu")}
}

func (g groups) stats() testCase {
	return testCase{
		name: g.name, spec: op.GroupNormStats{Groups: g.groups, Eps: normEps}, in: []tensor.Shape{g.x},
		fill: map[int]fill{0: normal(g.mean, 1)},
	}
}

// forward and the gradients get the statistics of the x that was drawn.
func (g groups) forward() testCase {
	c := tensor.Shape{last(g.x)}
	stats := op.GroupNormStats{Groups: g.groups, Eps: normEps}
	return testCase{
		name: g.label(), spec: op.GroupNorm{Groups: g.groups, SiLU: g.silu},
		in: []tensor.Shape{g.x, {g.x[0], g.groups, 2}, c, c},
		fill: map[int]fill{
			0: normal(g.mean, 1),
			1: func(_ *rand.Rand, _ tensor.Shape, before [][]float64) []float64 {
				return naiveGroupNormStats(stats, g.x, before[0])
			},
			2: normal(1, 0.3),
		},
	}
}

func (g groups) label() string { return fmt.Sprintf("%s silu=%t", g.name, g.silu) }

func (g groups) gradSums() testCase {
	c := g.forward()
	c.spec = op.GroupNormGradSums{Groups: g.groups, SiLU: g.silu}
	c.in = append(c.in, g.x)
	return c
}

func (g groups) gradInput() testCase {
	c := g.gradSums()
	sums := c.spec.(op.GroupNormGradSums)
	c.spec = op.GroupNormGradInput{Groups: g.groups, SiLU: g.silu}
	c.in = append(c.in, tensor.Shape{g.x[0], 2, last(g.x)})
	c.fill[5] = func(_ *rand.Rand, _ tensor.Shape, before [][]float64) []float64 {
		return naiveGroupNormGradSums(sums, g.x, before)
	}
	return c
}

// layerNorms build the cases of layer norm and its gradients for x […,C] of some mean.
func layerNorms() map[string]func(x tensor.Shape, mean float64) testCase {
	return map[string]func(tensor.Shape, float64) testCase{
		"LayerNorm": func(x tensor.Shape, mean float64) testCase {
			c := tensor.Shape{last(x)}
			return testCase{
				spec: op.LayerNorm{Eps: normEps}, in: []tensor.Shape{x, c, c},
				fill: map[int]fill{0: normal(mean, 1), 1: normal(1, 0.3)},
			}
		},
		"LayerNormGradInput": func(x tensor.Shape, mean float64) testCase {
			return testCase{
				spec: op.LayerNormGradInput{Eps: normEps}, in: []tensor.Shape{x, {last(x)}, x},
				fill: map[int]fill{0: normal(mean, 1), 1: normal(1, 0.3)},
			}
		},
		"LayerNormGradParams": func(x tensor.Shape, mean float64) testCase {
			return testCase{
				spec: op.LayerNormGradParams{Eps: normEps}, in: []tensor.Shape{x, x}, fill: map[int]fill{0: normal(mean, 1)},
			}
		},
	}
}
