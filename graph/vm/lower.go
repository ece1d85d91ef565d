package vm

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// source says where a value's bytes come from.
type source uint8

const (
	computed source = iota // by a step, into the arena
	fed                    // given to each Run
	bound                  // the value that the node holds when the program is compiled
)

// value is what a node computes or holds.
type value struct {
	name   string
	node   *gorgonia.Node // nil for values that the compiler added
	shape  tensor.Shape
	kind   op.Kind
	dtype  device.DType
	source source
	prod   *step // nil for leaves
	output bool

	// Of bound values.
	held     gorgonia.Value
	identity device.Pointer // see device.Operand
	copied   device.Memory  // the device's copy; zero where the value is read in place
	shared   []byte         // what the copy is of, if it is the device's for all programs

	// A view lies at offset bytes in root; otherwise root is the value itself.
	root   *value
	offset int64

	// Of roots only.
	first, last int            // steps in which the value must be held
	arena       int64          // offset in the arena, or in what a prelude keeps
	kept        bool           // by a prelude, outside the arena
	ptr         device.Pointer // set when memory is given out; for fed values in each Run
}

func (v *value) bytes() int64 { return int64(op.Size(v.shape)) * v.dtype.Size() }

func (v *value) view(of *value, offset int64) { v.root, v.offset = of.root, of.offset+offset }

// step is one operation of the program.
type step struct {
	spec     op.Spec
	place    string
	in       []*value
	out      *value
	key      key
	segment  int
	backward bool
	again    bool     // a copy that recomputes what was not kept
	prelude  *prelude // nil for what runs in every Run

	index     int
	kernel    device.Kernel // nil for views
	workspace *value        // its root is in the arena; nil if none is needed
	args      []device.Pointer
	stats     stats
}

func (s *step) isView() bool {
	_, view := s.spec.(op.Viewer)
	_, update := s.spec.(op.Updater)
	return view && !update
}

// key orders steps that could run in any order: mostly the order in which the nodes were made, which is the network's.
type key struct{ major, minor, after int64 }

func (k key) less(o key) bool {
	if k.major != o.major {
		return k.major < o.major
	}
	if k.minor != o.minor {
		return k.minor < o.minor
	}
	return k.after < o.after
}

// graph is a program under compilation.
type graph struct {
	precision Precision
	values    map[*gorgonia.Node]*value
	leaves    []*value
	steps     []*step
	outputs   []*value
	casts     map[*value]*value
	viewsOf   map[*value][]*value // of roots
}

// ErrForeign is reported for a node whose operation is Gorgonia's own.
var ErrForeign = errors.New("an operation of gorgonia's own; build with graph/op")

// lower turns what the outputs need into steps. Each node's inputs come before it.
func lower(outputs gorgonia.Nodes, precision Precision) (*graph, error) {
	g := &graph{precision: precision, values: map[*gorgonia.Node]*value{}, casts: map[*value]*value{}, viewsOf: map[*value][]*value{}}
	for _, n := range needed(outputs) {
		if err := g.add(n); err != nil {
			return nil, err
		}
	}
	for _, n := range outputs {
		v := g.values[n]
		if v.kind == unread { // an output that is an input
			v = g.stored(v, op.Feature)
		}
		v.output = true
		g.outputs = append(g.outputs, v)
	}
	return g, nil
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
	s := &step{key: key{major: n.ID(), minor: math.MaxInt64}}
	for _, c := range in {
		s.in = append(s.in, g.values[c])
	}
	if a := op.Of(n); a != nil {
		s.spec, s.place, s.segment, s.backward = a.Spec, a.Place(), a.Segment, a.Backward
	} else if isSum(n, in) {
		// Gorgonia's backpropagation adds gradients where a value is used more than once.
		s.spec, s.place, s.backward = op.Add{}, "sum of gradients", true
		if p := s.in[0].prod; p != nil {
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
		if s.in[0].kind == unread {
			g.stored(s.in[0], kinds[0])
		}
		out = s.in[0].kind
	} else {
		for i, k := range kinds {
			s.in[i] = g.stored(s.in[i], k)
		}
	}
	if len(updates(s.spec)) > 0 {
		s.key = afterInputs(s.in)
	}
	s.out = g.newValue(n.Name(), n.Shape(), out)
	s.out.node = n
	s.out.name = s.place
	g.values[n] = s.out
	g.push(s)
	return nil
}

// afterInputs is the place right behind the last of the values that an update reads, so that a gradient that is added up or
// applied is not held until all of them are there.
func afterInputs(in []*value) key {
	var last key
	for _, v := range in {
		if v.prod != nil && last.less(v.prod.key) {
			last = v.prod.key
		}
	}
	last.after++
	return last
}

func (g *graph) newValue(name string, shape tensor.Shape, k op.Kind) *value {
	v := &value{name: name, shape: shape, kind: k, dtype: g.precision.dtype(k)}
	v.root = v
	return v
}

func (g *graph) push(s *step) {
	s.out.prod = s
	g.steps = append(g.steps, s)
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
	case n.Op() != nil: // a constant, such as the 1 that backpropagation begins with
		c, err := n.Op().Do()
		if err != nil {
			return fmt.Errorf("constant %s: %w", n.Name(), err)
		}
		v.source, v.held = bound, c
	case kind != op.Index:
		v.kind, v.dtype = unread, 0
	}
	g.values[n] = v
	g.leaves = append(g.leaves, v)
	return nil
}

// unread is the kind of a fed value that nothing has read yet.
const unread = op.Kind(255)

// stored returns v as a value of kind k, through a Cast if it is stored in another element type.
func (g *graph) stored(v *value, k op.Kind) *value {
	if v.kind == unread {
		v.kind, v.dtype = k, g.precision.dtype(k)
	}
	if g.precision.dtype(k) == v.dtype {
		return v
	}
	if c, ok := g.casts[v]; ok {
		return c
	}
	s := &step{spec: op.Cast{From: v.kind, To: k}, place: v.name + ": Cast", in: []*value{v}}
	if p := v.prod; p != nil {
		s.key, s.segment, s.backward = p.key, p.segment, p.backward
		s.key.after++
	}
	s.out = g.newValue(s.place, v.shape, k)
	g.casts[v] = s.out
	g.push(s)
	return s.out
}

// readers returns for each value the steps that read it, in the order of the steps.
func (g *graph) readers() map[*value][]*step {
	r := make(map[*value][]*step, len(g.steps))
	for _, s := range g.steps {
		for _, v := range s.in {
			if list := r[v]; len(list) == 0 || list[len(list)-1] != s {
				r[v] = append(list, s)
			}
		}
	}
	return r
}
