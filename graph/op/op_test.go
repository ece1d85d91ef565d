package op

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/chewxy/hm"
	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestInferAccepts(t *testing.T) {
	for _, e := range examples() {
		out, err := e.spec.Infer(e.in)
		if err != nil || !slices.Equal(out, e.out) {
			t.Errorf("%s%+v of %v: %v, %v; want %v", Name(e.spec), e.spec, e.in, out, err, e.out)
		}
	}
}

// TestInferKeepsInputs changes an inferred shape: inputs must not share its memory.
func TestInferKeepsInputs(t *testing.T) {
	for _, e := range examples() {
		in := fmt.Sprint(e.in, e.spec)
		out, err := e.spec.Infer(e.in)
		if err != nil {
			t.Fatal(err)
		}
		for i := range out {
			out[i] = -1
		}
		if got := fmt.Sprint(e.in, e.spec); got != in {
			t.Errorf("%s: inputs were %s, are %s", Name(e.spec), in, got)
		}
	}
}

// TestInferRefusesOtherAxes takes inputs that hold as many numbers in another number of axes. The first input says what
// the others must be.
func TestInferRefusesOtherAxes(t *testing.T) {
	for _, e := range examples() {
		for i := 1; i < len(e.in); i++ {
			for _, s := range []tensor.Shape{append(tensor.Shape{1}, e.in[i]...), append(e.in[i].Clone(), 1)} {
				in := slices.Clone(e.in)
				in[i] = s
				switch {
				case Name(e.spec) == "GlobalNorm": // of anything
				case Name(e.spec) == "LinearWeightGrad" && s[0] == 1: // as many rows
				case Size(s) == 1: // a scalar may come as [1]
				default:
					if _, err := e.spec.Infer(in); err == nil {
						t.Errorf("%s%+v accepted %v", Name(e.spec), e.spec, in)
					}
				}
			}
		}
	}
}

func TestKindsDiffAndInPlaceFitTheInputs(t *testing.T) {
	for _, e := range examples() {
		n, name := len(e.in), Name(e.spec)
		kinds, _ := e.spec.Kinds(n)
		if len(kinds) != n {
			t.Errorf("%s: %d kinds for %d inputs", name, len(kinds), n)
			continue
		}
		if d, ok := e.spec.(PartlyDifferentiable); ok && len(d.Diff(n)) != n {
			t.Errorf("%s: Diff has %d values for %d inputs", name, len(d.Diff(n)), n)
		}
		if p, ok := e.spec.(InPlacer); ok {
			for _, i := range p.InPlace(n) {
				if !slices.Equal(e.in[i], e.out) {
					t.Errorf("%s: in place of input %d, %v: want %v", name, i, e.in[i], e.out)
				}
			}
		}
		if u, ok := e.spec.(Updater); ok {
			if !slices.Contains(u.Updates(), 0) || !slices.Equal(e.in[0], e.out) {
				t.Errorf("%s: the output must be the first input, which is updated", name)
			}
		}
		if v, ok := e.spec.(Viewer); ok && v.ViewOffset()+Size(e.out) > Size(e.in[0]) {
			t.Errorf("%s: the view ends behind its input", name)
		}
	}
}

// build makes an example's node from leaves.
func (e example) build(t *testing.T) (s *Scope, in gorgonia.Nodes, out *gorgonia.Node) {
	t.Helper()
	s = NewScope("net")
	kinds, _ := e.spec.Kinds(len(e.in))
	for i, shape := range e.in {
		if kinds[i] == Index {
			in = append(in, s.IndexInput(fmt.Sprintf("x%d", i), shape...))
		} else {
			in = append(in, s.Input(fmt.Sprintf("x%d", i), shape...))
		}
	}
	out = s.Sub("block").apply(e.spec, in...)
	if err := s.Err(); err != nil {
		t.Fatalf("%s: %v", Name(e.spec), err)
	}
	return s, in, out
}

func TestNodes(t *testing.T) {
	for _, e := range examples() {
		_, in, out := e.build(t)
		a := Of(out)
		if a == nil || a.Arity() != len(in) || !slices.Equal(out.Shape(), e.out) {
			t.Errorf("%s: node %v of shape %v, want %v", Name(e.spec), out, out.Shape(), e.out)
			continue
		}
		if children := Children(out); !slices.Equal(children, in) {
			t.Errorf("%s: children %v, want %v", Name(e.spec), children, in)
		}
		if got, want := a.Place(), "net: block: "+Name(e.spec); got != want {
			t.Errorf("place %q, want %q", got, want)
		}
		if _, err := a.Do(); err == nil {
			t.Errorf("%s: ran on a Gorgonia machine", Name(e.spec))
		}
	}
}

// TestGradientShapes asks each operation for its gradients: as many as inputs, of their shapes, nil where none flows.
func TestGradientShapes(t *testing.T) {
	for _, e := range examples() {
		s, in, out := e.build(t)
		a := Of(out)
		diff := a.DiffWRT(len(in))
		if len(diff) != len(in) {
			t.Errorf("%s: DiffWRT has %d values for %d inputs", Name(e.spec), len(diff), len(in))
			continue
		}
		dy := s.Input("dy", out.Shape()...)
		grads, err := a.SymDiff(in, out, dy)
		if _, ok := e.spec.(Differentiable); !ok {
			if err == nil || slices.Contains(diff, true) {
				t.Errorf("%s: is not differentiable but DiffWRT is %v, SymDiff's error %v", Name(e.spec), diff, err)
			}
			continue
		}
		if fusedAct(e.spec) != NoAct {
			if err == nil {
				t.Errorf("%s: a fused activation was differentiated", Name(e.spec))
			}
			continue
		}
		if err != nil || len(grads) != len(in) {
			t.Errorf("%s: %d gradients for %d inputs, error %v", Name(e.spec), len(grads), len(in), err)
			continue
		}
		for i, g := range grads {
			if (g != nil) != diff[i] {
				t.Errorf("%s: gradient %d is %v, DiffWRT %v", Name(e.spec), i, g, diff[i])
				continue
			}
			if g == nil {
				continue
			}
			if !slices.Equal(g.Shape(), e.in[i]) {
				t.Errorf("%s: gradient %d has shape %v, want %v", Name(e.spec), i, g.Shape(), e.in[i])
			}
			if b := Of(g); b != nil && (!b.Backward || b.Place() != "net: block: "+Name(b.Spec)+" (backward)") {
				t.Errorf("%s: gradient %d is at %q", Name(e.spec), i, b.Place())
			}
		}
	}
}

// TestFLOPs counts by hand; a multiply-add is two.
func TestFLOPs(t *testing.T) {
	type shapes = []tensor.Shape
	same := Geometry{KH: 3, KW: 3, Stride: 1, Pad: Pad(1)}
	x, w, y := tensor.Shape{2, 8, 8, 5}, tensor.Shape{3, 3, 5, 7}, tensor.Shape{2, 8, 8, 7}
	conv := int64(2 * 2 * 8 * 8 * 3 * 3 * 5 * 7)
	q, k := tensor.Shape{2, 9, 12}, tensor.Shape{2, 4, 12}
	for _, c := range []struct {
		spec Counter
		in   shapes
		want int64
	}{
		{Conv2D{Geometry: same, Bias: true}, shapes{x, w, {7}}, conv},
		{ConvDataGrad{Geometry: same, H: 8, W: 8}, shapes{y, w}, conv},
		{ConvWeightGrad{same}, shapes{x, y}, conv},
		{Linear{}, shapes{{3, 4, 5}, {7, 5}}, 2 * 12 * 5 * 7},
		{LinearDataGrad{}, shapes{{3, 4, 7}, {7, 5}}, 2 * 12 * 5 * 7},
		{LinearWeightGrad{}, shapes{{3, 4, 5}, {3, 4, 7}}, 2 * 12 * 5 * 7},
		{Attention{Heads: 3}, shapes{q, k, k}, 2 * 2 * (2 * 9 * 4 * 12)},
		{AttentionGrad{Heads: 3}, shapes{q, k, k, q}, 5 * 2 * (2 * 9 * 4 * 12)},
	} {
		out, err := c.spec.Infer(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.spec.FLOPs(c.in, out); got != c.want {
			t.Errorf("%s: %d, want %d", Name(c.spec), got, c.want)
		}
	}
	// The stride divides the work of all three convolutions: it is counted by output pixels.
	half := Geometry{KH: 3, KW: 3, Stride: 2, Pad: Pad(1)}
	if got := (ConvDataGrad{Geometry: half, H: 8, W: 8}).FLOPs(shapes{{2, 4, 4, 7}, w}, x); got != conv/4 {
		t.Errorf("ConvDataGrad of stride 2: %d, want %d", got, conv/4)
	}
}

// fusedAct is the activation that a product's kernel applies.
func fusedAct(s Spec) Act {
	switch s := s.(type) {
	case Linear:
		return s.Act
	case Conv2D:
		return s.Act
	}
	return NoAct
}

// TestHashCoversEveryAttribute changes each field of each operation: Gorgonia takes operations of one hash for equal.
func TestHashCoversEveryAttribute(t *testing.T) {
	sum := func(s Spec, salt uint64) string {
		h := sha256.New()
		(&Applied{Spec: s, salt: salt}).WriteHash(h)
		return string(h.Sum(nil))
	}
	seen := map[string]string{}
	note := func(s Spec) {
		text := fmt.Sprintf("%T %#v", s, s)
		if other, ok := seen[sum(s, 1)]; ok && other != text {
			t.Errorf("one hash for %s and %s", other, text)
		}
		seen[sum(s, 1)] = text
	}
	for _, e := range examples() {
		note(e.spec)
		if sum(e.spec, 1) == sum(e.spec, 2) {
			t.Errorf("%s: the salt isn't in the hash", Name(e.spec))
		}
		v := reflect.New(reflect.TypeOf(e.spec)).Elem()
		v.Set(reflect.ValueOf(e.spec))
		changeFields(t, v, func() { note(v.Interface().(Spec)) })
	}
}

// changeFields changes one number, flag or size in v after the other, calls f for each and restores it.
func changeFields(t *testing.T, v reflect.Value, f func()) {
	old := reflect.New(v.Type()).Elem()
	old.Set(v)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			changeFields(t, v.Field(i), f)
		}
		return
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8:
		v.SetUint((v.Uint() + 1) % 3) // Act and Kind have three values at least
	case reflect.Float64:
		v.SetFloat(v.Float() * (1 + 1e-12))
	case reflect.Slice:
		v.Set(reflect.Append(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, 0), v), reflect.ValueOf(1)))
	default:
		t.Fatalf("a field of kind %v: say here how to change it", v.Kind())
	}
	f()
	v.Set(old)
}

// TestTypeIsFresh gives a type back to Gorgonia's pool, as its type inference does.
func TestTypeIsFresh(t *testing.T) {
	_, _, out := examples()[0].build(t)
	a := Of(out)
	first, want := a.Type(), fmt.Sprint(a.Type())
	if first == a.Type() {
		t.Fatal("the same value twice")
	}
	hm.ReturnFnType(first.(*hm.FunctionType))
	hm.NewFnType(tensor.Int32, tensor.Int32) // takes it from the pool
	if diff := cmp.Diff(want, fmt.Sprint(a.Type())); diff != "" {
		t.Error(diff)
	}
}

// TestTapeMachineIsRefused: Gorgonia's machine overwrites values that are still needed and frees nothing.
func TestTapeMachineIsRefused(t *testing.T) {
	s := NewScope("net")
	x := s.Input("x", 2, 3)
	SiLU.Apply(s, x)
	if err := gorgonia.Let(x, tensor.New(tensor.WithShape(2, 3), tensor.Of(tensor.Float32))); err != nil {
		t.Fatal(err)
	}
	m := gorgonia.NewTapeMachine(s.Graph())
	defer m.Close()
	if err := m.RunAll(); err == nil {
		t.Error("it ran")
	}
}
