package devicetest

import (
	"fmt"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

// pooling is windows over x [N,H,W,C].
type pooling struct {
	name         string
	x            tensor.Shape
	window       op.Geometry
	countPadding bool
	fill         fill // of x
}

func pool() family {
	f := family{name: "pool", odd: map[string]func(*rapid.T) testCase{
		"MaxPool2D": func(t *rapid.T) testCase { return oddPooling(t).max() },
		"AvgPool2D": func(t *rapid.T) testCase { return oddPooling(t).avg() },
	}}
	for _, p := range []pooling{
		{name: "resnet stem", x: tensor.Shape{1, 28, 28, 64}, window: square(3, 2, op.Pad(1))},
		{name: "inception stem", x: tensor.Shape{1, 17, 15, 192}, window: square(3, 2, op.Pad(0))},
		{name: "inception branch", x: tensor.Shape{2, 8, 8, 288}, window: square(3, 1, op.Pad(1))},
		{name: "inception branch", x: tensor.Shape{1, 8, 8, 288}, window: square(3, 1, op.Pad(1)), countPadding: true},
		{name: "all pixels", x: tensor.Shape{2, 8, 7, 2048}, window: op.Geometry{KH: 8, KW: 7, Stride: 1}},
		{name: "gaps", x: tensor.Shape{1, 9, 9, 16}, window: square(2, 3, op.Pad(0))},
		{name: "equal values", x: tensor.Shape{2, 9, 8, 33}, window: square(3, 1, op.Pad(1)), fill: ids(3)},
		{name: "below zero", x: tensor.Shape{1, 9, 8, 33}, window: square(3, 2, op.Pad(1)), fill: normal(-100, 1)},
	} {
		f.cases = append(f.cases, p.max(), p.avg())
	}
	return f
}

func oddPooling(t *rapid.T) pooling {
	x := images(t)
	g := geometry(t, x[1], x[2])
	g.Pad.Top, g.Pad.Bottom = min(g.Pad.Top, g.KH-1), min(g.Pad.Bottom, g.KH-1)
	g.Pad.Left, g.Pad.Right = min(g.Pad.Left, g.KW-1), min(g.Pad.Right, g.KW-1)
	p := pooling{x: x, window: g, countPadding: rapid.Bool().Draw(t, "padding is counted")}
	if rapid.Bool().Draw(t, "equal values") {
		p.fill = ids(3)
	}
	return p
}

func (p pooling) label() string { return fmt.Sprintf("%s padding=%t", p.name, p.countPadding) }

func (p pooling) max() testCase {
	return testCase{
		name: p.label(), spec: op.MaxPool2D{Geometry: p.window}, in: []tensor.Shape{p.x}, fill: map[int]fill{0: p.fill},
	}
}

func (p pooling) avg() testCase {
	return testCase{
		name: p.label(), spec: op.AvgPool2D{Geometry: p.window, CountIncludePad: p.countPadding}, in: []tensor.Shape{p.x},
		fill: map[int]fill{0: p.fill},
	}
}
