package devicetest

import (
	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/op"
)

// heads is an attention of n images.
type heads struct {
	name         string
	n, lq, lk    int
	heads, width int // of a head
	causal       bool
	sharp        float64 // deviation of the queries; 0: 1
}

func attention() family {
	f := family{name: "attention", odd: map[string]func(*rapid.T) testCase{
		"Attention":     func(t *rapid.T) testCase { return oddHeads(t).forward() },
		"AttentionGrad": func(t *rapid.T) testCase { return oddHeads(t).gradient() },
	}}
	for _, h := range []heads{
		{name: "unet 40", n: 1, lq: 256, lk: 256, heads: 8, width: 40},
		{name: "unet 80", n: 2, lq: 64, lk: 64, heads: 8, width: 80},
		{name: "unet 160", n: 2, lq: 16, lk: 16, heads: 8, width: 160},
		{name: "unet cross to text", n: 2, lq: 64, lk: 77, heads: 8, width: 40},
		{name: "unet cross to image", n: 1, lq: 100, lk: 197, heads: 8, width: 40},
		{name: "vae", n: 1, lq: 144, lk: 144, heads: 1, width: 512},
		{name: "vit", n: 1, lq: 197, lk: 197, heads: 12, width: 64},
		{name: "clip", n: 2, lq: 77, lk: 77, heads: 12, width: 64, causal: true},
		{name: "one key outshines", n: 1, lq: 50, lk: 70, heads: 2, width: 40, sharp: 30},
	} {
		f.cases = append(f.cases, h.forward(), h.gradient())
	}
	return f
}

func oddHeads(t *rapid.T) heads {
	h := heads{
		n: size(t, "N", 3), lq: size(t, "Lq", 65), lk: size(t, "Lk", 129),
		heads: size(t, "heads", 4), width: size(t, "width", 49),
		causal: rapid.Bool().Draw(t, "causal"),
	}
	if h.causal {
		h.lk = h.lq
	}
	return h
}

func (h heads) shapes() (q, k tensor.Shape) {
	c := h.heads * h.width
	return tensor.Shape{h.n, h.lq, c}, tensor.Shape{h.n, h.lk, c}
}

func (h heads) fill() map[int]fill {
	if h.sharp == 0 {
		return nil
	}
	return map[int]fill{0: normal(0, h.sharp)}
}

func (h heads) forward() testCase {
	q, k := h.shapes()
	return testCase{
		name: h.name, spec: op.Attention{Heads: h.heads, Causal: h.causal}, in: []tensor.Shape{q, k, k}, fill: h.fill(),
	}
}

func (h heads) gradient() testCase {
	q, k := h.shapes()
	return testCase{
		name: h.name, spec: op.AttentionGrad{Heads: h.heads, Causal: h.causal}, in: []tensor.Shape{q, k, k, q},
		fill: h.fill(),
	}
}
