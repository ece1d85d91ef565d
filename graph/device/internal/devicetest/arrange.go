package devicetest

import (
	"fmt"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

// arrange is the operations that move elements, and their gradients.
func arrange() family {
	return family{
		name: "arrange",
		cases: []testCase{
			{name: "unet skip", spec: op.Concat{Axis: 3}, in: []tensor.Shape{{2, 8, 8, 320}, {2, 8, 8, 640}}},
			{name: "unet latents", spec: op.Concat{Axis: 3}, in: []tensor.Shape{{2, 16, 16, 4}, {2, 16, 16, 4}}},
			{name: "vit class token", spec: op.Concat{Axis: 1}, in: []tensor.Shape{{2, 1, 768}, {2, 49, 768}}},
			{name: "three", spec: op.Concat{Axis: 0}, in: []tensor.Shape{{1, 5, 7}, {2, 5, 7}, {3, 5, 7}}},
			{name: "vae moments", spec: op.Slice{Axis: 3, Offset: 4, Length: 4}, in: []tensor.Shape{{2, 16, 16, 8}}},
			{name: "first tokens", spec: op.Slice{Axis: 1, Length: 30}, in: []tensor.Shape{{2, 77, 320}}},
			{name: "channels", spec: op.ZeroPad{Axis: 3, Before: 4, Size: 8}, in: []tensor.Shape{{2, 16, 16, 4}}},
			{name: "tokens", spec: op.ZeroPad{Axis: 1, Size: 77}, in: []tensor.Shape{{2, 30, 320}}},
			{name: "×2", spec: op.Upsample{H: 16, W: 16}, in: []tensor.Shape{{1, 8, 8, 320}}},
			{name: "×2", spec: op.UpsampleGrad{H: 8, W: 8}, in: []tensor.Shape{{1, 16, 16, 320}}},
			{
				name: "clip tokens", spec: op.Embedding{}, in: []tensor.Shape{{2, 77}, {4999, 96}},
				fill: map[int]fill{0: ids(4999)},
			},
			{name: "to exact", spec: op.Cast{From: op.Feature, To: op.Exact}, in: []tensor.Shape{{3, 1000}}},
			{name: "to feature", spec: op.Cast{From: op.Exact, To: op.Feature}, in: []tensor.Shape{{3, 1000}}},
		},
		odd: map[string]func(*rapid.T) testCase{
			"Concat":  oddConcat,
			"Slice":   oddSlice,
			"ZeroPad": oddZeroPad,
			"Upsample": func(t *rapid.T) testCase {
				x, y := oddResize(t)
				return testCase{spec: op.Upsample{H: y[1], W: y[2]}, in: []tensor.Shape{x}}
			},
			"UpsampleGrad": func(t *rapid.T) testCase {
				x, y := oddResize(t)
				return testCase{spec: op.UpsampleGrad{H: x[1], W: x[2]}, in: []tensor.Shape{y}}
			},
			"Embedding": func(t *rapid.T) testCase {
				rows := size(t, "rows", 33)
				return testCase{
					spec: op.Embedding{}, in: []tensor.Shape{anyShape(t), {rows, size(t, "C", 33)}},
					fill: map[int]fill{0: ids(rows)},
				}
			},
		},
	}
}

func oddConcat(t *rapid.T) testCase {
	x := anyShape(t)
	axis := rapid.IntRange(0, len(x)-1).Draw(t, "axis")
	c := testCase{spec: op.Concat{Axis: axis}, in: []tensor.Shape{x}}
	for i := range rapid.IntRange(0, 3).Draw(t, "more") {
		y := x.Clone()
		y[axis] = size(t, fmt.Sprintf("of %d", i+1), 17)
		c.in = append(c.in, y)
	}
	return c
}

func oddSlice(t *rapid.T) testCase {
	x := anyShape(t)
	axis := rapid.IntRange(0, len(x)-1).Draw(t, "axis")
	offset := rapid.IntRange(0, x[axis]-1).Draw(t, "offset")
	length := rapid.IntRange(1, x[axis]-offset).Draw(t, "length")
	return testCase{spec: op.Slice{Axis: axis, Offset: offset, Length: length}, in: []tensor.Shape{x}}
}

func oddZeroPad(t *rapid.T) testCase {
	x := anyShape(t)
	axis := rapid.IntRange(0, len(x)-1).Draw(t, "axis")
	before := rapid.IntRange(0, 9).Draw(t, "before")
	behind := rapid.IntRange(0, 9).Draw(t, "behind")
	return testCase{spec: op.ZeroPad{Axis: axis, Before: before, Size: before + x[axis] + behind}, in: []tensor.Shape{x}}
}

// oddResize draws the shapes of an image and of the same at any other size, larger or smaller.
func oddResize(t *rapid.T) (from, to tensor.Shape) {
	from = images(t)
	return from, tensor.Shape{from[0], size(t, "to H", 17), size(t, "to W", 17), from[3]}
}
