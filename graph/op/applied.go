package op

import (
	"fmt"
	"hash"
	"hash/fnv"
	"slices"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Applied is the gorgonia.Op of a node: its Spec and its place in the network.
type Applied struct {
	Spec
	// Scope is the place, such as "unet: down_blocks.1.attentions.0".
	Scope string
	// Segment is the recomputation segment that the node belongs to; 0 is none. See Scope.Segment.
	Segment int
	// Backward is true for the nodes of a gradient.
	Backward bool

	scope *Scope
	types []hm.Type // of the inputs and, last, the output
	// salt makes every application unlike every other: Gorgonia merges nodes by a 32-bit hash that it takes for equality.
	salt uint64
}

var _ gorgonia.SDOp = (*Applied)(nil)

// Of returns the operation of a node, nil for leaves and for Gorgonia's own operations.
func Of(n *gorgonia.Node) *Applied {
	a, _ := n.Op().(*Applied)
	return a
}

// Children returns the inputs of a node, in order and with repetitions.
func Children(n *gorgonia.Node) gorgonia.Nodes {
	it := n.Graph().From(n.ID())
	if it.Len() <= 0 {
		return nil
	}
	in := make(gorgonia.Nodes, 0, it.Len())
	for it.Next() {
		in = append(in, it.Node().(*gorgonia.Node))
	}
	return in
}

// Place names the node in errors and reports: "unet: mid_block: Conv2D".
func (a *Applied) Place() string {
	p := a.Scope + ": " + Name(a.Spec)
	if a.Backward {
		p += " (backward)"
	}
	return p
}

func (a *Applied) Arity() int { return len(a.types) - 1 }

// Type returns the operation's type, a fresh value each time: Gorgonia returns it to a pool.
func (a *Applied) Type() hm.Type { return hm.NewFnType(append([]hm.Type(nil), a.types...)...) }

func (a *Applied) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	shapes, err := gorgonia.DimSizersToShapes(in)
	if err != nil {
		return nil, err
	}
	return a.Infer(shapes)
}

// Do fails: our operations run in a program of graph/vm.
func (a *Applied) Do(...gorgonia.Value) (gorgonia.Value, error) {
	return nil, fmt.Errorf("%s: run the graph with graph/vm, not with a Gorgonia machine", a.Place())
}

// DiffWRT reports for each input whether a gradient flows to it.
func (a *Applied) DiffWRT(n int) []bool {
	if d, ok := a.Spec.(PartlyDifferentiable); ok {
		return d.Diff(n)
	}
	_, differentiable := a.Spec.(Differentiable)
	return slices.Repeat([]bool{differentiable}, n)
}

func (a *Applied) SymDiff(in gorgonia.Nodes, out, dy *gorgonia.Node) (gorgonia.Nodes, error) {
	d, ok := a.Spec.(Differentiable)
	if !ok {
		return nil, fmt.Errorf("%s: not differentiable", a.Place())
	}
	s := a.scope.backward()
	grads := d.Grad(s, in, out, dy)
	if err := s.Err(); err != nil {
		return nil, err
	}
	return grads, nil
}

// The rest of gorgonia.Op. In-place reuse is planned by graph/vm.
func (a *Applied) ReturnsPtr() bool      { return true }
func (a *Applied) CallsExtern() bool     { return false }
func (a *Applied) OverwritesInput() int  { return -1 }
func (a *Applied) WriteHash(h hash.Hash) { fmt.Fprintf(h, "%s%+v#%d", Name(a.Spec), a.Spec, a.salt) }

func (a *Applied) Hashcode() uint32 {
	h := fnv.New32a()
	a.WriteHash(h)
	return h.Sum32()
}

func (a *Applied) String() string { return fmt.Sprintf("%s%+v", Name(a.Spec), a.Spec) }
