package vm

import (
	"errors"
	"fmt"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// ErrForeign is reported for a node whose operation is Gorgonia's own.
var ErrForeign = errors.New("an operation of gorgonia's own; build with graph/op")

// lower turns what the outputs need into steps. Each node's inputs come before it.
func (c *compilation) lower() error {
	g := &graph{
		precision: c.options.Precision,
		values:    map[*gorgonia.Node]*value{}, casts: map[*value]*value{}, viewsOf: map[*value][]*value{},
	}
	c.graph = g
	for _, n := range needed(c.outputs) {
		if err := g.add(n); err != nil {
			return err
		}
	}
	for _, n := range c.outputs {
		v := g.values[n]
		if v.pending { // an output that is an input
			v = g.stored(v, op.Feature)
		}
		v.output = true
		g.outputs = append(g.outputs, v)
	}
	return nil
}

// needed returns the nodes that outputs depend on, inputs first.
func needed(outputs gorgonia.Nodes) gorgonia.Nodes {
	type frame struct {
		n  *gorgonia.Node
		in gorgonia.Nodes
	}
	var order gorgonia.Nodes
	seen := map[*gorgonia.Node]bool{}
	for _, out := range outputs {
		if seen[out] {
			continue
		}
		seen[out] = true
		stack := []frame{{out, op.Children(out)}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.in) == 0 {
				order = append(order, top.n)
				stack = stack[:len(stack)-1]
				continue
			}
			c := top.in[0]
			top.in = top.in[1:]
			if !seen[c] {
				seen[c] = true
				stack = append(stack, frame{c, op.Children(c)})
			}
		}
	}
	return order
}

func (g *graph) add(n *gorgonia.Node) error {
	in := op.Children(n)
	if len(in) == 0 {
		return g.addLeaf(n)
	}
	s := &step{key: key{node: n.ID()}}
	for _, c := range in {
		s.in = append(s.in, g.values[c])
	}
	if a := op.Of(n); a != nil {
		s.spec, s.place, s.segment, s.backward = a.Spec, a.Place(), a.Segment, a.Backward
	} else if isSum(n, in) {
		// Gorgonia's backpropagation adds gradients where a value is used more than once.
		s.spec, s.place, s.backward = op.Add{}, "sum of gradients", true
		if p := s.in[0].producer; p != nil {
			s.place = p.place + ": sum of gradients"
		}
	} else {
		return fmt.Errorf("%s: %w", n.Name(), ErrForeign)
	}
	if c, ok := s.spec.(op.Conv2D); ok && s.in[0].kind == op.Exact {
		c.From = op.Exact
		s.spec = c
	}
	kinds, out := s.spec.Kinds(len(in))
	if s.isView() {
		if s.in[0].pending {
			g.stored(s.in[0], kinds[0])
		}
		out = s.in[0].kind
	} else {
		for i, k := range kinds {
			s.in[i] = g.stored(s.in[i], k)
		}
	}
	if len(s.updates()) > 0 {
		s.key = afterInputs(s.in)
	}
	s.out = g.newValue(n.Name(), n.Shape(), out)
	s.out.node = n
	s.out.name = s.place
	g.values[n] = s.out
	g.push(s)
	return nil
}

// afterInputs is the place right after the last of the values that an update reads, so that a gradient that is added up
// or applied is not held until all of them are there.
func afterInputs(in []*value) key {
	var last key
	for _, v := range in {
		if v.producer != nil && last.compare(v.producer.key) < 0 {
			last = v.producer.key
		}
	}
	last.after++
	return last
}

// isSum recognises Gorgonia's element-wise addition of two values of one shape.
func isSum(n *gorgonia.Node, in gorgonia.Nodes) bool {
	_, binary := n.Op().(gorgonia.BinaryOp)
	return binary && len(in) == 2 && strings.HasPrefix(n.Op().String(), "+ ") && in[0].Shape().Eq(in[1].Shape())
}

func (g *graph) addLeaf(n *gorgonia.Node) error {
	kind := op.Exact // a fed value takes what its first reader wants: see stored
	if n.Dtype() == tensor.Int32 {
		kind = op.Index
	}
	v := g.newValue(n.Name(), n.Shape(), kind)
	v.node, v.source = n, fed
	switch {
	case n.Value() != nil:
		v.source, v.held = bound, n.Value()
		if d, ok := n.Value().(*device.Value); ok && d.Stored() == device.BFloat16 {
			v.dtype = device.BFloat16 // see widen
		}
	case n.Op() != nil: // a constant, such as the 1 that backpropagation begins with
		c, err := n.Op().Do()
		if err != nil {
			return fmt.Errorf("constant %s: %w", n.Name(), err)
		}
		v.source, v.held = bound, c
	case kind != op.Index:
		v.pending, v.kind = true, op.Feature
	}
	g.values[n] = v
	g.leaves = append(g.leaves, v)
	return nil
}

// stored returns v as a value of kind k, through a Cast if it is stored in another element type.
func (g *graph) stored(v *value, k op.Kind) *value {
	if v.pending {
		v.pending, v.kind, v.dtype = false, k, g.precision.dtype(k)
	}
	if g.precision.dtype(k) == v.dtype || v.narrow() {
		return v
	}
	if c, ok := g.casts[v]; ok {
		return c
	}
	s := &step{spec: op.Cast{From: v.kind, To: k}, place: v.name + ": Cast", in: []*value{v}}
	if p := v.producer; p != nil {
		s.key, s.segment, s.backward = p.key, p.segment, p.backward
		s.key.after++
	}
	s.out = g.newValue(s.place, v.shape, k)
	g.casts[v] = s.out
	g.push(s)
	return s.out
}
