package devicetest

import (
	"fmt"

	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

// product is a linear layer: rows […] of k numbers to rows of o.
type product struct {
	name string
	rows tensor.Shape
	k, o int
}

func linear() family {
	f := family{name: "linear", odd: map[string]func(*rapid.T) testCase{
		"Linear": func(t *rapid.T) testCase {
			return oddProduct(t).forward(rapid.Bool().Draw(t, "bias"), rapid.Bool().Draw(t, "residual"), activation(t),
				stored(t))
		},
		"LinearDataGrad": func(t *rapid.T) testCase {
			return oddProduct(t).dataGrad(rapid.Bool().Draw(t, "residual"), stored(t))
		},
		"LinearWeightGrad": func(t *rapid.T) testCase { return oddProduct(t).weightGrad() },
	}}
	acts := []op.Act{op.NoAct, op.GELU, op.QuickGELU, op.SiLU, op.ReLU}
	for i, p := range []product{
		{name: "unet to_q", rows: tensor.Shape{1, 256}, k: 320, o: 320},
		{name: "unet to_k of text", rows: tensor.Shape{2, 77}, k: 768, o: 320},
		{name: "unet ff", rows: tensor.Shape{1, 64}, k: 320, o: 2560},
		{name: "unet ff out", rows: tensor.Shape{1, 64}, k: 1280, o: 320},
		{name: "unet time embedding", rows: tensor.Shape{2}, k: 320, o: 1280},
		{name: "unet time_emb_proj", rows: tensor.Shape{1}, k: 1280, o: 640},
		{name: "vit mlp", rows: tensor.Shape{1, 37}, k: 768, o: 3072},
		{name: "long sum", rows: tensor.Shape{3, 5}, k: 4096, o: 64},
	} {
		store := stores[i%len(stores)]
		f.cases = append(f.cases, p.forward(i%3 != 0, i%2 == 0, acts[i%len(acts)], store), p.dataGrad(i%2 == 1, store),
			p.weightGrad())
	}
	return f
}

func oddProduct(t *rapid.T) product {
	return product{rows: anyShape(t), k: size(t, "K", 129), o: size(t, "O", 129)}
}

func (p product) input() tensor.Shape  { return append(p.rows.Clone(), p.k) }
func (p product) output() tensor.Shape { return append(p.rows.Clone(), p.o) }

func (p product) forward(bias, residual bool, act op.Act, store op.Kind) testCase {
	c := testCase{
		name: fmt.Sprintf("%s bias=%t residual=%t %v %v", p.name, bias, residual, act, store),
		spec: op.Linear{Bias: bias, Residual: residual, Act: act, Store: store},
		in:   []tensor.Shape{p.input(), {p.o, p.k}},
		fill: map[int]fill{1: weights(p.k)},
	}
	if bias {
		c.in = append(c.in, tensor.Shape{p.o})
	}
	if residual {
		c.in = append(c.in, p.output())
	}
	return c
}

func (p product) dataGrad(residual bool, store op.Kind) testCase {
	c := testCase{
		name: fmt.Sprintf("%s residual=%t %v", p.name, residual, store),
		spec: op.LinearDataGrad{Residual: residual, Store: store},
		in:   []tensor.Shape{p.output(), {p.o, p.k}},
		fill: map[int]fill{1: weights(p.o)},
	}
	if residual {
		c.in = append(c.in, p.input())
	}
	return c
}

func (p product) weightGrad() testCase {
	return testCase{name: p.name, spec: op.LinearWeightGrad{}, in: []tensor.Shape{p.input(), p.output()}}
}
