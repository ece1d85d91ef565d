package vm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// TestPasses compiles the graphs of testdata/passes and compares what the passes make of them. `go test -run TestPasses
// -rewrite ./graph/vm` writes what they make now.
//
//	compile passes=(fuse,sort) precision=bfloat16 recompute vary=(w) invariant=(c)
//	x = input 1 8              # a leaf that is fed
//	w = param 4 8              # a leaf with a value
//	segment                    # what follows is of a new segment
//	h = linear x w
//	y = silu h
//	l = mse y t
//	dx dw = grad l x w         # of l with respect to x and w
//	return y dw
//	----
//	…
func TestPasses(t *testing.T) {
	datadriven.Walk(t, "testdata/passes", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "compile" {
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			o := Options{Device: &planner{workspace: workspaceOf}}
			var wanted, vary, invariant []string
			for _, a := range d.CmdArgs {
				switch a.Key {
				case "passes":
					wanted = a.Vals
				case "precision":
					var err error
					if err = o.Precision.UnmarshalText([]byte(a.Vals[0])); err != nil {
						d.Fatalf(t, "%v", err)
					}
				case "recompute":
					o.Recompute = true
				case "vary":
					vary = a.Vals
				case "invariant":
					invariant = a.Vals
				default:
					d.Fatalf(t, "unknown argument %s", a.Key)
				}
			}
			s := script{nodes: map[string]*gorgonia.Node{}, scope: op.NewScope("net")}
			if err := s.parse(d.Input); err != nil {
				d.Fatalf(t, "%v", err)
			}
			o.Vary, o.Invariant = s.named(vary), s.named(invariant)
			p, err := Compile(s.outputs, o)
			if err != nil {
				return fmt.Sprintf("error: %v\n", err)
			}
			defer func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}()
			var b strings.Builder
			if err := p.Dump(&b); err != nil {
				t.Error(err)
			}
			return onlyPasses(b.String(), wanted)
		})
	})
}

// workspaceOf is what planner's kernels need: products a quarter of their output.
func workspaceOf(r device.Request) int64 {
	if _, ok := r.Spec.(op.Fusible); ok {
		return r.Out.Bytes() / 4
	}
	return 0
}

// onlyPasses leaves the passes out of a dump that a test doesn't look at.
func onlyPasses(dump string, wanted []string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(dump, "== ") {
		for _, w := range wanted {
			if strings.HasPrefix(part, w+":") {
				b.WriteString("== " + part)
			}
		}
	}
	return b.String()
}

// script builds a graph from the text of a test.
type script struct {
	scope   *op.Scope
	nodes   map[string]*gorgonia.Node
	outputs gorgonia.Nodes
}

func (s *script) parse(text string) error {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "segment":
			s.scope = s.scope.Segment()
		case words[0] == "return":
			s.outputs = s.named(words[1:])
		default:
			if err := s.statement(words); err != nil {
				return fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
			}
		}
	}
	return s.scope.Err()
}

// statement is a line such as y = linear x w.
func (s *script) statement(words []string) error {
	equals := slices.Index(words, "=")
	if equals < 1 || equals == len(words)-1 {
		return errors.New("want a line such as y = linear x w")
	}
	names, operation, args := words[:equals], words[equals+1], words[equals+2:]
	if operation == "grad" {
		in := s.named(args)
		grads, err := gorgonia.Grad(in[0], in[1:]...)
		for i, n := range grads {
			s.nodes[names[i]] = n
		}
		return err
	}
	var err error
	s.nodes[names[0]], err = s.node(names[0], operation, args)
	return err
}

func (s *script) node(name, operation string, args []string) (*gorgonia.Node, error) {
	at := s.scope.Sub(name)
	in := s.named(args)
	switch operation {
	case "input":
		return s.scope.Input(name, integers(args)...), nil
	case "param":
		n := s.scope.Param(name, integers(args)...)
		shape := tensor.Shape(integers(args))
		return n, gorgonia.Let(n, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(make([]float32, op.Size(shape)))))
	case "linear":
		return op.Linear{}.Apply(at, in[0], in[1], nil, nil), nil
	case "conv":
		return op.Conv2D{Geometry: op.Geometry{Pad: op.Pad(1)}}.Apply(at, in[0], in[1], nil, nil), nil
	case "silu":
		return op.SiLU.Apply(at, in[0]), nil
	case "add":
		return op.Add{}.Apply(at, in[0], in[1]), nil
	case "mul":
		return op.Mul{}.Apply(at, in[0], in[1]), nil
	case "norm":
		return op.LayerNorm{Eps: 1e-5}.Apply(at, in[0], in[1], in[2]), nil
	case "view":
		return op.View(integers(args[1:])).Apply(at, in[0]), nil
	case "mse":
		return op.MSE{}.Apply(at, in[0], in[1], nil), nil
	case "adamw":
		return op.AdamW{}.Apply(at, op.AdamWOperands{
			Param: in[0], Gradient: in[1], ExpAvg: in[2], ExpAvgSq: in[3],
			Hyper: in[4],
		}), nil
	}
	return nil, fmt.Errorf("unknown operation %s", operation)
}

// named returns the nodes of those words that name one.
func (s *script) named(words []string) (nodes gorgonia.Nodes) {
	for _, w := range words {
		if n := s.nodes[w]; n != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func integers(words []string) (numbers []int) {
	for _, w := range words {
		if n, err := strconv.Atoi(w); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}
