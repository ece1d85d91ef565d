package op

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
)

func TestErrorsCarryThePlace(t *testing.T) {
	s := NewScope("unet")
	at := s.Index("down_blocks", 1).Sub("attentions.0")
	x, w := at.Input("hidden_states", 1, 4096, 320), at.Param("to_k.weight", 640, 768)
	Linear{}.Apply(at, x, w, nil, nil)
	want := "unet: down_blocks.1.attentions.0: Linear: input [1 4096 320] does not match weight [640 768]"
	if err := s.Err(); err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

// constructors are all that makes a node of one given node x, which may be nil.
func constructors() map[string]func(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	type node = *gorgonia.Node
	return map[string]func(*Scope, node) node{
		"SiLU":           func(s *Scope, x node) node { return SiLU.Apply(s, x) },
		"GEGLU":          func(s *Scope, x node) node { return GEGLU{}.Apply(s, x) },
		"Attention":      func(s *Scope, x node) node { return Attention{Heads: 1}.Apply(s, x, x, x) },
		"ConcatChannels": func(s *Scope, x node) node { return ConcatChannels(s, x, x) },
		"Slice":          func(s *Scope, x node) node { return Slice{Axis: 0, Offset: 0, Length: 1}.Apply(s, x) },
		"Conv2D":         func(s *Scope, x node) node { return Conv2D{}.Apply(s, x, x, x, x) },
		"Add":            func(s *Scope, x node) node { return Add{}.Apply(s, x, x) },
		"Mul":            func(s *Scope, x node) node { return Mul{}.Apply(s, x, x) },
		"Scale":          func(s *Scope, x node) node { return Scale{Factor: 2}.Apply(s, x) },
		"AddChannels":    func(s *Scope, x node) node { return AddChannels{}.Apply(s, x, x) },
		"AddBatch":       func(s *Scope, x node) node { return AddBatch{}.Apply(s, x, x) },
		"Embedding":      func(s *Scope, x node) node { return Embedding{}.Apply(s, x, x) },
		"Linear":         func(s *Scope, x node) node { return Linear{}.Apply(s, x, x, x, x) },
		"MSE":            func(s *Scope, x node) node { return MSE{}.Apply(s, x, x, x) },
		"GroupNorm":      func(s *Scope, x node) node { return GroupNorm{Groups: 1, SiLU: true}.Apply(s, x, x, x, 1e-5) },
		"LayerNorm":      func(s *Scope, x node) node { return LayerNorm{Eps: 1e-5}.Apply(s, x, x, x) },
		"Accumulate":     func(s *Scope, x node) node { return Accumulate{}.Apply(s, x, x, x) },
		"AdamW": func(s *Scope, x node) node {
			return AdamW{}.Apply(s, AdamWOperands{Param: x, Gradient: x, ExpAvg: x, ExpAvgSq: x, Hyper: x, Scale: x})
		},
		"GlobalNorm":          func(s *Scope, x node) node { return GlobalNorm{}.Apply(s, x) },
		"ClipScale":           func(s *Scope, x node) node { return ClipScale{Max: 1}.Apply(s, x) },
		"View":                func(s *Scope, x node) node { return View{1}.Apply(s, x) },
		"TimestepEmbedding":   func(s *Scope, x node) node { return TimestepEmbedding{Channels: 4}.Apply(s, x) },
		"Input":               func(s *Scope, _ node) node { return s.Input("more", 1) },
		"ConcatChannels of 0": func(s *Scope, _ node) node { return ConcatChannels(s) },
		"NormOf 0":            func(s *Scope, _ node) node { return GlobalNorm{}.Apply(s) },
	}
}

func TestNilIsAnErrorWithTheOperationsName(t *testing.T) {
	for name, construct := range constructors() {
		if name == "Input" {
			continue
		}
		s := NewScope("net")
		n := construct(s.Sub("block"), nil)
		if n != nil || s.Err() == nil || !strings.HasPrefix(s.Err().Error(), "net: block: ") {
			t.Errorf("%s: node %v, error %v", name, n, s.Err())
		}
	}
}

func TestBuildingGoesOnAfterAnError(t *testing.T) {
	for name, construct := range constructors() {
		s := NewScope("net")
		x := s.Input("x", 1, 2, 2, 4)
		bad := Linear{}.Apply(s, x, s.Param("w", 3, 5), nil, nil)
		first, nodes := s.Err(), len(s.Graph().AllNodes())
		for _, n := range []*gorgonia.Node{x, bad} {
			if got := construct(s.Sub("later"), n); got != nil {
				t.Errorf("%s: made %v after an error", name, got)
			}
		}
		if !errors.Is(s.Err(), first) || len(s.Graph().AllNodes()) != nodes {
			t.Errorf("%s: error %v, want the first: %v", name, s.Err(), first)
		}
	}
}

func TestLeaves(t *testing.T) {
	s := NewScope("unet")
	at := s.Sub("mid_block")
	w := at.Param("weight", 3, 4)
	b := at.Param("bias", 3)
	if s.Err() != nil || s.Leaf("mid_block.weight") != w || s.Leaf("weight") != nil {
		t.Errorf("error %v, leaf %v, want %v", s.Err(), s.Leaf("mid_block.weight"), w)
	}
	at.Input("x", 1)
	if got := s.Params(); !slices.Equal(got, gorgonia.Nodes{w, b}) {
		t.Errorf("parameters %v, want %v", got, gorgonia.Nodes{w, b})
	}
}

// TestLeavesThatAreRefused: Gorgonia merges inputs of one name, type and shape.
func TestLeavesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(s *Scope) *gorgonia.Node
		want string
	}{
		{"again", func(s *Scope) *gorgonia.Node { return s.Param("conv.weight", 2, 2) }, "conv.weight: made twice"},
		{"another shape", func(s *Scope) *gorgonia.Node { return s.Param("conv.weight", 4) }, "conv.weight: made twice"},
		{"another kind", func(s *Scope) *gorgonia.Node { return s.IndexInput("conv.weight", 2, 2) }, "conv.weight: made twice"},
		{"through a place", func(s *Scope) *gorgonia.Node { return s.Sub("conv").Input("weight", 2, 2) }, "conv.weight: made twice"},
		{"no name", func(s *Scope) *gorgonia.Node { return s.Input("", 2, 2) }, "needs a name"},
		{"empty", func(s *Scope) *gorgonia.Node { return s.Sub("down").Input("x", 2, 0, 3) }, "down.x: shape [2 0 3]"},
		{"negative", func(s *Scope) *gorgonia.Node { return s.Param("y", -1) }, "y: shape [-1]"},
	} {
		s := NewScope("unet")
		s.Param("conv.weight", 2, 2)
		if n := c.make(s); n != nil || s.Err() == nil || !strings.Contains(s.Err().Error(), c.want) {
			t.Errorf("%s: node %v, error %v, want %q", c.name, n, s.Err(), c.want)
		}
	}
}

func TestInputsThatAreRefused(t *testing.T) {
	s := NewScope("net")
	ids := s.IndexInput("ids", 2, 3)
	SiLU.Apply(s, ids)
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "Activation: input 0 (ids) is int32, want float32") {
		t.Errorf("ids as a feature: %v", err)
	}
	s = NewScope("net")
	Add{}.Apply(s, s.Input("x", 2, 3), NewScope("other").Input("y", 2, 3))
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "input 1 (y) belongs to another graph") {
		t.Errorf("another graph: %v", err)
	}
}

// TestNothingMerges: Gorgonia takes nodes of one operation, type, shape and hash for one.
func TestNothingMerges(t *testing.T) {
	const n = 5000
	s := NewScope("net")
	x := s.Input("x", 2, 3)
	seen := map[*gorgonia.Node]bool{x: true}
	chain := x
	for i := range n {
		again := SiLU.Apply(s, x)
		chain = SiLU.Apply(s, chain)
		sum := Add{}.Apply(s.Sub(strconv.Itoa(i)), again, again)
		leaf := s.Sub(strconv.Itoa(i)).Input("x", 2, 3)
		for _, m := range []*gorgonia.Node{again, chain, sum, leaf} {
			if m == nil || seen[m] {
				t.Fatalf("%d: node %v is an old one; error %v", i, m, s.Err())
			}
			seen[m] = true
		}
	}
	if got, want := len(s.Graph().AllNodes()), 1+4*n; got != want {
		t.Errorf("%d nodes, want %d", got, want)
	}
	for m := range seen {
		if s.Graph().Node(m.ID()) != m {
			t.Fatalf("node %d is another one in the graph", m.ID())
		}
	}
}

// TestNodesOfAGradientDoNotMerge differentiates two equal branches and a value that is used twice.
func TestNodesOfAGradientDoNotMerge(t *testing.T) {
	s := NewScope("net")
	x, y, target := s.Input("x", 2, 3), s.Input("y", 2, 3), s.Input("target", 2, 3)
	a, b := SiLU.Apply(s, x), SiLU.Apply(s, y)
	loss := MSE{}.Apply(s, Add{}.Apply(s, Mul{}.Apply(s, a, a), b), target, nil)
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	grads, err := gorgonia.Grad(loss, x, y)
	if err != nil {
		t.Fatal(err)
	}
	if grads[0] == grads[1] {
		t.Error("two gradients are one node")
	}
	for _, n := range s.Graph().AllNodes() {
		if s.Graph().Node(n.ID()) != n {
			t.Errorf("node %d is another one in the graph", n.ID())
		}
	}
	for i, leaf := range []*gorgonia.Node{x, y} {
		if !dependsOn(grads[i], leaf) {
			t.Errorf("gradient %d does not depend on %s", i, leaf.Name())
		}
	}
}

func dependsOn(n, leaf *gorgonia.Node) bool {
	return n == leaf || slices.ContainsFunc(Children(n), func(c *gorgonia.Node) bool { return dependsOn(c, leaf) })
}

// TestConstantsOfAGradient: Gorgonia merges constants that print alike, as large tensors do, so that a gradient must
// have scalars only: the 1 that it begins with.
func TestConstantsOfAGradient(t *testing.T) {
	for _, e := range examples() {
		if _, ok := e.spec.(Differentiable); !ok {
			continue
		}
		s, in, loss := e.build(t)
		if !loss.IsScalar() {
			loss = MSE{}.Apply(s, loss, s.Input("target", loss.Shape()...), nil)
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
		if _, err := gorgonia.Grad(loss, in[0]); err != nil {
			continue // not differentiable by its first input, or fused
		}
		for _, n := range s.Graph().AllNodes() {
			if len(Children(n)) == 0 && n.Op() != nil && !n.IsScalar() {
				t.Errorf("%s: constant %v of shape %v", Name(e.spec), n, n.Shape())
			}
		}
	}
}

// TestAHashCollisionIsFound applies one operation to two leaves of one hash: Gorgonia would give the first node back
// for the second one. The two names were searched for: one pair among some two million.
func TestAHashCollisionIsFound(t *testing.T) {
	const first, second = "x1539599", "x1722382"
	s := NewScope("net")
	a, b := s.Input(first, 2, 3), s.Input(second, 2, 3)
	if s.Err() != nil || a == b || a.Hashcode() != b.Hashcode() {
		t.Fatalf("leaves %s and %s: hashes %d and %d, error %v", first, second, a.Hashcode(), b.Hashcode(), s.Err())
	}
	one, other := SiLU.Apply(s, a), SiLU.Apply(s, b)
	if s.Err() != nil || one == other || Children(other)[0] != b {
		t.Fatalf("the salt does not keep %v and %v apart; error %v", one, other, s.Err())
	}
	s.build.salt = 0 // as of the first application
	if n := SiLU.Apply(s.Sub("block"), b); n != nil {
		t.Errorf("merged: input %v, want %v", Children(n), b)
	}
	if err := s.Err(); !errors.Is(err, errMerged) || !strings.HasPrefix(err.Error(), "net: block: Activation: ") {
		t.Errorf("error %v, want errMerged with the place", err)
	}
}

// TestNoOperationWithoutInputs: Gorgonia's backpropagation numbers nodes wrongly where one has an operation but no
// inputs.
func TestNoOperationWithoutInputs(t *testing.T) {
	for name, construct := range constructors() {
		if !strings.HasSuffix(name, " 0") {
			continue
		}
		s := NewScope("net")
		if n := construct(s, nil); n != nil || s.Err() == nil || len(s.Graph().AllNodes()) != 0 {
			t.Errorf("%s: node %v, error %v", name, n, s.Err())
		}
	}
}

func TestSegments(t *testing.T) {
	s := NewScope("net")
	x := s.Input("x", 2, 3)
	first, second := s.Segment(), s.Sub("block").Segment()
	a, b := SiLU.Apply(first, x), SiLU.Apply(second.Sub("deeper"), x)
	outside := SiLU.Apply(s, x)
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	if i, j, k := Of(a).Segment, Of(b).Segment, Of(outside).Segment; i == 0 || j == 0 || i == j || k != 0 {
		t.Errorf("segments %d, %d and %d outside, want two numbers and 0", i, j, k)
	}
	grads, err := Of(a).SymDiff(gorgonia.Nodes{x}, a, x)
	if err != nil {
		t.Fatal(err)
	}
	if g := Of(grads[0]); g.Segment != 0 || !g.Backward {
		t.Errorf("the gradient is in segment %d, backward=%t", g.Segment, g.Backward)
	}
}
