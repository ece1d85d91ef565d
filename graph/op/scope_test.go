package op

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
)

func TestErrorsCarryThePlace(t *testing.T) {
	s := NewScope("unet")
	at := s.Sub("down_blocks.%d", 1).Sub("attentions.0")
	x, w := at.Input("hidden_states", 1, 4096, 320), at.Param("to_k.weight", 640, 768)
	Affine(at, x, w, nil, nil)
	want := "unet: down_blocks.1.attentions.0: Linear: input [1 4096 320] does not match weight [640 768]"
	if err := s.Err(); err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

// constructors are all that makes a node of one given node x, which may be nil.
func constructors() map[string]func(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	type node = *gorgonia.Node
	return map[string]func(*Scope, node) node{
		"Activate":            func(s *Scope, x node) node { return Activate(s, x, SiLUAct) },
		"GateGELU":            GateGELU,
		"Attend":              func(s *Scope, x node) node { return Attend(s, x, x, x, 1, false) },
		"ConcatChannels":      func(s *Scope, x node) node { return ConcatChannels(s, x, x) },
		"ConcatTokens":        func(s *Scope, x node) node { return ConcatTokens(s, x, x) },
		"Cut":                 func(s *Scope, x node) node { return Cut(s, x, 0, 0, 1) },
		"Convolve":            func(s *Scope, x node) node { return Convolve(s, x, x, x, x, ConvConfig{}) },
		"Sum":                 func(s *Scope, x node) node { return Sum(s, x, x) },
		"Product":             func(s *Scope, x node) node { return Product(s, x, x) },
		"Scaled":              func(s *Scope, x node) node { return Scaled(s, x, 2) },
		"SumChannels":         func(s *Scope, x node) node { return SumChannels(s, x, x) },
		"SumBroadcast":        func(s *Scope, x node) node { return SumBroadcast(s, x, x) },
		"Lookup":              func(s *Scope, x node) node { return Lookup(s, x, x) },
		"Affine":              func(s *Scope, x node) node { return Affine(s, x, x, x, x) },
		"MeanSquaredError":    func(s *Scope, x node) node { return MeanSquaredError(s, x, x, x) },
		"GroupNormalize":      func(s *Scope, x node) node { return GroupNormalize(s, x, x, x, 1, 1e-5, true) },
		"LayerNormalize":      func(s *Scope, x node) node { return LayerNormalize(s, x, x, x, 1e-5) },
		"AddInto":             func(s *Scope, x node) node { return AddInto(s, x, x, x) },
		"StepAdamW":           func(s *Scope, x node) node { return StepAdamW(s, x, x, x, x, x, x) },
		"NormOf":              func(s *Scope, x node) node { return NormOf(s, x) },
		"ScaleToClip":         func(s *Scope, x node) node { return ScaleToClip(s, x, 1) },
		"View":                func(s *Scope, x node) node { return View(s, x, 1) },
		"Normalized":          Normalized,
		"EmbedTimestep":       func(s *Scope, x node) node { return EmbedTimestep(s, x, TimestepEmbedding{Channels: 4}) },
		"Resize":              func(s *Scope, x node) node { return Resize(s, x, 4, 4) },
		"Input":               func(s *Scope, _ node) node { return s.Input("more", 1) },
		"ConcatChannels of 0": func(s *Scope, _ node) node { return ConcatChannels(s) },
		"ConcatTokens of 0":   func(s *Scope, _ node) node { return ConcatTokens(s) },
		"NormOf 0":            func(s *Scope, _ node) node { return NormOf(s) },
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
		bad := Affine(s, x, s.Param("w", 3, 5), nil, nil)
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
	Activate(s, ids, SiLUAct)
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "Activation: input 0 (ids) is int32, want float32") {
		t.Errorf("ids as a feature: %v", err)
	}
	s = NewScope("net")
	Sum(s, s.Input("x", 2, 3), NewScope("other").Input("y", 2, 3))
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
		again := Activate(s, x, SiLUAct)
		chain = Activate(s, chain, SiLUAct)
		sum := Sum(s.Sub("%d", i), again, again)
		leaf := s.Sub("%d", i).Input("x", 2, 3)
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
	a, b := Activate(s, x, SiLUAct), Activate(s, y, SiLUAct)
	loss := MeanSquaredError(s, Sum(s, Product(s, a, a), b), target, nil)
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

// TestConstantsOfAGradient: Gorgonia merges constants that print alike, as large tensors do, so that a gradient must have
// scalars only: the 1 that it begins with.
func TestConstantsOfAGradient(t *testing.T) {
	for _, e := range examples() {
		if _, ok := e.spec.(Differentiable); !ok {
			continue
		}
		s, in, loss := e.build(t)
		if !loss.IsScalar() {
			loss = MeanSquaredError(s, loss, s.Input("target", loss.Shape()...), nil)
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
		if _, err := gorgonia.Grad(loss, in[0]); err != nil {
			continue // not differentiable by its first input, or fused
		}
		for _, n := range s.Graph().AllNodes() {
			if len(Children(n)) == 0 && n.Op() != nil && !n.IsScalar() {
				t.Errorf("%s: constant %v of shape %v", e.spec.Name(), n, n.Shape())
			}
		}
	}
}

// TestAHashCollisionIsFound applies one operation to two leaves of one hash: Gorgonia would give the first node back for the
// second one. The two names were searched for: one pair among some two million.
func TestAHashCollisionIsFound(t *testing.T) {
	const first, second = "x1539599", "x1722382"
	s := NewScope("net")
	a, b := s.Input(first, 2, 3), s.Input(second, 2, 3)
	if s.Err() != nil || a == b || a.Hashcode() != b.Hashcode() {
		t.Fatalf("leaves %s and %s: hashes %d and %d, error %v", first, second, a.Hashcode(), b.Hashcode(), s.Err())
	}
	one, other := Activate(s, a, SiLUAct), Activate(s, b, SiLUAct)
	if s.Err() != nil || one == other || Children(other)[0] != b {
		t.Fatalf("the salt does not keep %v and %v apart; error %v", one, other, s.Err())
	}
	s.build.salt = 0 // as of the first application
	if n := Activate(s.Sub("block"), b, SiLUAct); n != nil {
		t.Errorf("merged: input %v, want %v", Children(n), b)
	}
	if err := s.Err(); !errors.Is(err, ErrMerged) || !strings.HasPrefix(err.Error(), "net: block: Activation: ") {
		t.Errorf("error %v, want ErrMerged with the place", err)
	}
}

// TestNoOperationWithoutInputs: Gorgonia's backpropagation numbers nodes wrongly where one has an operation but no inputs.
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
	a, b := Activate(first, x, SiLUAct), Activate(second.Sub("deeper"), x, SiLUAct)
	outside := Activate(s, x, SiLUAct)
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
