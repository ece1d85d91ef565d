package op

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Scope is a place in a network under construction: where parameters get their names and where the first error is kept.
// After an error every operation returns nil and does nothing, so that a network is written without checks and asked
// once, with Err. A Scope is not safe for concurrent use.
type Scope struct {
	build   *build
	path    string
	segment int
	lowRank *LowRank // see Adapt
	grad    bool
	err     *error
}

// build is shared by the scopes of one network.
type build struct {
	graph    *gorgonia.ExprGraph
	name     string
	err      error
	leaves   map[string]*gorgonia.Node
	marked   map[string]*gorgonia.Node
	params   gorgonia.Nodes
	segments int
	salt     uint64
}

// errMerged is reported when Gorgonia merged a new node into an older one with other inputs.
var errMerged = errors.New("gorgonia merged the node into another one with the same hash")

// NewScope begins a network; its errors begin with name.
func NewScope(name string) *Scope {
	b := &build{
		graph: gorgonia.NewGraph(), name: name, leaves: map[string]*gorgonia.Node{},
		marked: map[string]*gorgonia.Node{},
	}
	return &Scope{build: b, err: &b.err}
}

// Sub returns a place below s; parameter names get name as a further element of their dotted name.
func (s *Scope) Sub(name string) *Scope {
	t := *s
	t.path = join(s.path, name)
	return &t
}

// Index returns place i of a list below s: Index("resnets", 1) is Sub("resnets.1").
func (s *Scope) Index(name string, i int) *Scope { return s.Sub(name + "." + strconv.Itoa(i)) }

// Segment returns a place like s whose nodes belong to a new recomputation segment (gradient checkpointing): if the
// program is compiled so, values inside it are not kept for the backward pass but computed again there. Values that
// leave the segment are kept.
func (s *Scope) Segment() *Scope {
	t := *s
	s.build.segments++
	t.segment = s.build.segments
	return &t
}

// Graph returns the Gorgonia graph.
func (s *Scope) Graph() *gorgonia.ExprGraph { return s.build.graph }

// Err returns the first error of the network, with its place.
func (s *Scope) Err() error { return *s.err }

// Params returns the parameters in the order of their making.
func (s *Scope) Params() gorgonia.Nodes { return append(gorgonia.Nodes(nil), s.build.params...) }

// Leaf returns the input or parameter of a full name, nil if there is none.
func (s *Scope) Leaf(name string) *gorgonia.Node { return s.build.leaves[name] }

// Mark remembers n as the result of the part of the network at s and returns it: see Marked.
func (s *Scope) Mark(n *gorgonia.Node) *gorgonia.Node {
	if n != nil {
		s.build.marked[s.path] = n
	}
	return n
}

// Marked returns the result of the part of the network at a full path, such as "down_blocks.0", nil if none is marked.
func (s *Scope) Marked(path string) *gorgonia.Node { return s.build.marked[path] }

// Input makes a value that each run of the program is fed with. Input("x", 2, 8, 8, 4) is float32 [2,8,8,4].
func (s *Scope) Input(name string, shape ...int) *gorgonia.Node {
	return s.leaf(name, tensor.Float32, shape)
}

// IndexInput makes an int32 value that each run is fed with, such as token ids.
func (s *Scope) IndexInput(name string, shape ...int) *gorgonia.Node {
	return s.leaf(name, tensor.Int32, shape)
}

// Param makes a parameter. It gets its value with gorgonia.Let before the program is compiled.
func (s *Scope) Param(name string, shape ...int) *gorgonia.Node {
	n := s.leaf(name, tensor.Float32, shape)
	if n != nil {
		s.build.params = append(s.build.params, n)
	}
	return n
}

func (s *Scope) leaf(name string, dt tensor.Dtype, shape []int) *gorgonia.Node {
	if *s.err != nil {
		return nil
	}
	full := join(s.path, name)
	root := *s // the full name says the place
	root.path = ""
	if name == "" {
		return s.fail("a leaf needs a name")
	}
	if _, ok := s.build.leaves[full]; ok {
		return root.fail("%s: made twice: names must be unique", full)
	}
	if err := positive(shape); err != nil {
		return root.fail("%s: %w", full, err)
	}
	var n *gorgonia.Node
	if len(shape) == 0 {
		n = gorgonia.NewScalar(s.build.graph, dt, gorgonia.WithName(full))
	} else {
		n = gorgonia.NewTensor(s.build.graph, dt, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(full))
	}
	if n.Name() != full {
		return root.fail("%s: %w %s", full, errMerged, n.Name())
	}
	s.build.leaves[full] = n
	return n
}

// backward is the place of the gradients of nodes at s; it has an error of its own.
func (s *Scope) backward() *Scope {
	t := *s
	t.grad = true
	t.segment = 0
	t.err = new(error)
	return &t
}

// fail keeps the first error, with its place, and returns nil.
func (s *Scope) fail(format string, args ...any) *gorgonia.Node {
	if *s.err == nil {
		*s.err = fmt.Errorf("%s: %w", s.place(), fmt.Errorf(format, args...))
	}
	return nil
}

func (s *Scope) place() string {
	if s.path == "" {
		return s.build.name
	}
	return s.build.name + ": " + s.path
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// apply makes the node of a Spec. It returns nil, and keeps the error in s, when the inputs don't fit.
func (s *Scope) apply(spec Spec, in ...*gorgonia.Node) *gorgonia.Node {
	if *s.err != nil {
		return nil
	}
	shapes := make([]tensor.Shape, len(in))
	types := make([]hm.Type, len(in)+1)
	kinds, _ := spec.Kinds(len(in))
	for i, n := range in {
		if n == nil {
			return s.fail("%s: input %d is nil", Name(spec), i)
		}
		if n.Graph() != s.build.graph {
			return s.fail("%s: input %d (%s) belongs to another graph", Name(spec), i, n.Name())
		}
		shapes[i], types[i] = n.Shape(), n.Type()
		if want := dtypeOf(kinds[i]); n.Dtype() != want {
			return s.fail("%s: input %d (%s) is %v, want %v", Name(spec), i, n.Name(), n.Dtype(), want)
		}
	}
	out, err := spec.Infer(shapes)
	if err != nil {
		return s.fail("%s: %w", Name(spec), err)
	}
	types[len(in)] = tensor.Float32
	if len(out) > 0 {
		types[len(in)] = gorgonia.TensorType{Dims: len(out), Of: tensor.Float32}
	}
	s.build.salt++
	a := &Applied{
		Spec: spec, Scope: s.place(), Segment: s.segment, Backward: s.grad,
		scope: s, types: types, salt: s.build.salt,
	}
	n, err := gorgonia.ApplyOp(a, in...)
	if err != nil {
		return s.fail("%s: %w", Name(spec), err)
	}
	for i, c := range Children(n) {
		if c != in[i] {
			return s.fail("%s: %w", Name(spec), errMerged)
		}
	}
	return n
}

func dtypeOf(k Kind) tensor.Dtype {
	if k == Index {
		return tensor.Int32
	}
	return tensor.Float32
}
