package enginebench

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
)

// layer is one line of a shapes file, as scripts/bench_torch.py sees it too.
type layer struct {
	kind  string // conv, linear, gn, ln, sdpa, geglu, silu
	count int
	shape []int
}

func (l layer) String() string { return l.kind + " " + strings.Trim(fmt.Sprint(l.shape), "[]") }

// readLayers reads a shapes file: attention is made of its pairs of batched products, GEGLU of a GELU with the linear layer
// before it. Lines that only move memory (add, cat, copy, up, softmax) are left out, as they are for PyTorch.
func readLayers(path string) ([]layer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []layer
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		l := layer{}
		for j, field := range strings.Fields(line) {
			if j == 0 {
				l.kind = field
				continue
			}
			n, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
			}
			if j == 1 {
				l.count = n
			} else {
				l.shape = append(l.shape, n)
			}
		}
		lines = append(lines, l)
	}
	return join(lines), nil
}

func join(lines []layer) []layer {
	var out []layer
	products := map[[4]int]int{}
	for _, l := range lines {
		switch l.kind {
		case "bmm":
			products[[4]int(l.shape)] = l.count
		case "conv", "linear", "gn", "ln", "silu":
			out = append(out, l)
		case "gelu":
			if g, ok := geglu(l, lines); ok {
				out = append(out, g)
			}
		}
	}
	return append(out, attention(products)...)
}

// geglu finds the linear layer whose output's second half the GELU gates.
func geglu(gelu layer, lines []layer) (layer, bool) {
	for _, l := range lines {
		if l.kind == "linear" && l.shape[0]*l.shape[2] == 2*gelu.shape[0] && l.shape[2] == 8*l.shape[1] {
			return layer{"geglu", gelu.count, []int{l.shape[0], l.shape[2]}}, true
		}
	}
	return layer{}, false
}

// attention pairs the products: scores are (heads, Lq, d, Lk), their product with the values (heads, Lq, Lk, d).
func attention(products map[[4]int]int) []layer {
	keys := make([][4]int, 0, len(products))
	for p := range products {
		keys = append(keys, p)
	}
	slices.SortFunc(keys, func(a, b [4]int) int { return cmp.Compare(fmt.Sprintf("%09d", a), fmt.Sprintf("%09d", b)) })
	var out []layer
	for _, p := range keys {
		count := products[p]
		delete(products, p)
		if count == 0 {
			continue
		}
		heads, m, a, b := p[0], p[1], p[2], p[3]
		if a == b {
			count /= 2
		} else {
			delete(products, [4]int{heads, m, b, a})
		}
		lk, d := max(a, b), min(a, b)
		if a == m || b == m { // self-attention
			lk, d = m, a+b-m
		}
		out = append(out, layer{"sdpa", count, []int{heads, m, lk, d}})
	}
	return out
}

// build makes the layer with its inputs: what the gradients are taken of, besides the parameters.
func (l layer) build(s *op.Scope) (out *gorgonia.Node, in gorgonia.Nodes) {
	input := func(name string, shape ...int) *gorgonia.Node {
		n := s.Input(name, shape...)
		in = append(in, n)
		return n
	}
	d := l.shape
	switch l.kind {
	case "conv":
		x := input("x", d[0], d[2], d[3], d[1])
		out = nn.Conv(s, x, nn.ConvConfig{Out: d[4], Kernel: d[5], Stride: d[6], Pad: op.Pad(d[7])})
	case "linear":
		out = nn.Linear(s, input("x", d[0], d[1]), nn.LinearConfig{Out: d[2], NoBias: d[3] == 0})
	case "gn":
		x := []int{d[0]}
		x = append(append(x, d[2:]...), d[1])
		out = nn.GroupNormSiLU(s, input("x", x...), nn.NormConfig{Groups: 32, Eps: 1e-5})
	case "ln":
		out = nn.LayerNorm(s, input("x", d...), 1e-5)
	case "sdpa":
		q := input("q", 1, d[1], d[0]*d[3])
		k, v := input("k", 1, d[2], d[0]*d[3]), input("v", 1, d[2], d[0]*d[3])
		out = op.Attention{Heads: d[0]}.Apply(s, q, k, v)
	case "geglu":
		out = op.GEGLU{}.Apply(s, input("x", d...))
	case "silu":
		out = op.SiLU.Apply(s, input("x", d...))
	}
	return out, in
}
