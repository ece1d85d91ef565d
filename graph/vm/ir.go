package vm

import (
	"cmp"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// graph is a program under compilation: what the passes read and change. Nothing of it is left in the Program.
type graph struct {
	precision Precision
	steps     []*step // in the order of running once they are sorted; before that, inputs come first
	leaves    []*value
	outputs   []*value
	invariant []*value // the inputs that preludes depend on, in the order of Options.Invariant; see hoist

	values  map[*gorgonia.Node]*value
	casts   map[*value]*value   // a value in another element type
	viewsOf map[*value][]*value // of roots
	made    int                 // values so far
}

// step is one operation of the program.
type step struct {
	spec     op.Spec
	place    string
	in       []*value
	out      *value
	key      key
	segment  int
	backward bool
	again    bool // computes once more what recomputation did not keep
	index    int  // in graph.steps, once they are sorted

	// prelude is the input whose value alone decides what the step computes; nil for what runs in every Run. See hoist.
	prelude *value
}

// isView reports whether the step's output is part of its input's memory, so that no kernel runs.
func (s *step) isView() bool {
	_, view := s.spec.(op.Viewer)
	_, update := s.spec.(op.Updater)
	return view && !update
}

// updates lists the inputs that the step writes.
func (s *step) updates() []int {
	if u, ok := s.spec.(op.Updater); ok {
		return u.Updates()
	}
	return nil
}

// source says where a value's bytes come from.
type source uint8

const (
	computed source = iota // by a step, into the arena
	fed                    // given to each Run
	bound                  // the value that the node holds when the program is compiled
)

// value is a node's value.
type value struct {
	id       int
	name     string
	node     *gorgonia.Node // nil for values that the compiler added
	shape    tensor.Shape
	kind     op.Kind
	dtype    device.DType
	pending  bool // a fed value whose kind its first reader decides
	source   source
	held     gorgonia.Value // of bound values
	producer *step          // nil for leaves

	// A view begins at offset bytes in root; otherwise root is the value itself.
	root   *value
	offset int64

	lifetime // of roots
	memory   address
}

func (v *value) bytes() int64 { return int64(op.Size(v.shape)) * v.dtype.Size() }

func (v *value) view(of *value, offset int64) { v.root, v.offset = of.root, of.offset+offset }

// at is the value's address.
func (v *value) at() address { return address{v.root.memory.space, v.root.memory.offset + v.offset} }

// lifetime says when a value must be held.
type lifetime struct {
	first, last int  // the first and the last step that needs it, by index
	output      bool // the program returns it: it is held after the last step, too
	kept        bool // it crosses from a prelude to the rest and is held between runs
}

// stays reports whether the value is needed after the last step that reads it.
func (l lifetime) stays() bool { return l.output || l.kept }

// extend makes l last as long as m, too.
func (l *lifetime) extend(m lifetime) {
	l.last, l.output, l.kept = max(l.last, m.last), l.output || m.output, l.kept || m.kept
}

// key orders steps that could run in any order: mostly as the nodes were made, which is the network's order.
type key struct {
	prelude int   // the place of the prelude among all, negative; 0 for what runs in every Run
	node    int64 // the number of the node
	copied  bool  // a step that recomputation copied runs just before node …
	of      int64 // … in the order of the nodes that were copied
	after   int   // a step that the compiler added runs this many places after the node's
}

func (k key) compare(o key) int {
	return cmp.Or(
		cmp.Compare(k.prelude, o.prelude), cmp.Compare(k.node, o.node), -compareBool(k.copied, o.copied),
		cmp.Compare(k.of, o.of), cmp.Compare(k.after, o.after))
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (g *graph) newValue(name string, shape tensor.Shape, k op.Kind) *value {
	v := &value{id: g.made, name: name, shape: shape, kind: k, dtype: g.precision.dtype(k)}
	v.root = v
	g.made++
	return v
}

func (g *graph) push(s *step) {
	s.out.producer = s
	g.steps = append(g.steps, s)
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
