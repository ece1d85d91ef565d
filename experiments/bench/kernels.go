package bench

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/vm"
)

// layersJSON lists the layers of each network, with what Dims are, by gen_layers.py.
//
//go:embed layers.json
var layersJSON []byte

type layer struct {
	Kind  string
	Count int // in the network
	Dims  []int
}

// backward ends the names of layers whose backward pass is timed with the forward pass.
const backward = " + backward"

// layerPrograms are the layers of a network, each by itself, with training also forward and backward.
func layerPrograms(network string, training bool) (programs []program, err error) {
	layers := map[string][]layer{}
	if err := json.Unmarshal(layersJSON, &layers); err != nil {
		return nil, err
	}
	for _, l := range layers[network] {
		for _, pass := range []string{"", backward} {
			if pass == "" || training {
				p, failed := l.program(pass)
				programs, err = append(programs, p), errors.Join(err, failed)
			}
		}
	}
	return programs, err
}

// sums adds layers up by kind and all together, weighted by their counts.
func sums(rows []Result) []Result {
	var out []Result
	for _, r := range rows {
		kind, _, _ := strings.Cut(r.Name, " ")
		for _, name := range []string{"sum of " + kind, "sum of all"} {
			if r.Training {
				name += backward
			}
			i := slices.IndexFunc(out, func(s Result) bool { return s.Name == name })
			if i < 0 {
				i, out = len(out), append(out, Result{Name: name, Batch: 1, Training: r.Training})
			}
			s, n := &out[i], float64(r.Count)
			flop := s.GFLOPS*s.Seconds + n*r.GFLOPS*r.Seconds
			s.Count, s.Seconds, s.Torch = s.Count+r.Count, s.Seconds+n*r.Seconds, s.Torch+n*r.Torch
			s.GFLOPS = flop / s.Seconds
		}
	}
	return out
}

// program is the graph of the layer.
func (l layer) program(pass string) (program, error) {
	s := op.NewScope(l.Kind)
	var in gorgonia.Nodes
	input := func(name string, shape ...int) *gorgonia.Node {
		in = append(in, s.Input(name, shape...))
		return in[len(in)-1]
	}
	var out *gorgonia.Node
	switch d := l.Dims; l.Kind {
	case "conv":
		c := nn.ConvConfig{Out: d[4], Kernel: d[5], Stride: d[6], Pad: op.Pad(d[7])}
		out = nn.Conv(s, input("x", d[0], d[2], d[3], d[1]), c)
	case "linear":
		out = nn.Linear(s, input("x", d[0], d[1]), nn.LinearConfig{Out: d[2], NoBias: d[3] == 0})
	case "gn":
		x := slices.Concat(d[:1], d[2:], d[1:2])
		out = nn.GroupNormSiLU(s, input("x", x...), nn.NormConfig{Groups: 32, Eps: 1e-5})
	case "ln":
		out = nn.LayerNorm(s, input("x", d...), 1e-5)
	case "sdpa":
		q, k := input("q", 1, d[1], d[0]*d[3]), input("k", 1, d[2], d[0]*d[3])
		out = op.Attention{Heads: d[0]}.Apply(s, q, k, input("v", 1, d[2], d[0]*d[3]))
	case "geglu":
		out = op.GEGLU{}.Apply(s, input("x", d...))
	case "silu":
		out = op.SiLU.Apply(s, input("x", d...))
	}
	name := l.Kind + " " + strings.Trim(fmt.Sprint(l.Dims), "[]") + pass
	p := program{Scope: s, name: name, batch: 1, count: l.Count, outputs: gorgonia.Nodes{out}}
	if err := s.Err(); err != nil || pass != backward {
		return p, err
	}
	seed := s.Input("seed", out.Shape()...)
	grads, err := gorgonia.Backpropagate(p.outputs, gorgonia.Nodes{seed}, append(in, s.Params()...))
	p.outputs, p.vary = append(p.outputs, grads...), true
	return p, err
}

// Peak is the rate of a product of large matrices on the device, in GFLOP/s.
func Peak(ctx context.Context, d device.Device, precision vm.Precision) (float64, error) {
	side := 2048
	if !d.HostMemory() {
		side = 8192
	}
	p, err := layer{Kind: "linear", Count: 1, Dims: []int{side, side, side, 0}}.program("")
	if err != nil {
		return 0, err
	}
	r, err := p.time(ctx, Options{Device: d, Precision: precision, Runs: 4})
	return r.GFLOPS, err
}
