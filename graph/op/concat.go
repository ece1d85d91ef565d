package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Concat joins values along an axis; their other sizes agree.
type Concat struct{ Axis int }

// ConcatChannels joins along the last axis: […,C1], […,C2], … → […,C1+C2+…].
func ConcatChannels(s *Scope, in ...*gorgonia.Node) *gorgonia.Node {
	if s.Err() != nil {
		return nil
	}
	axis := 0
	if len(in) > 0 && in[0] != nil {
		axis = in[0].Dims() - 1
	}
	return s.apply(Concat{Axis: axis}, in...)
}

// ConcatTokens joins along axis 1: [N,L1,C], [N,L2,C], … → [N,L1+L2+…,C].
func ConcatTokens(s *Scope, in ...*gorgonia.Node) *gorgonia.Node {
	return s.apply(Concat{Axis: 1}, in...)
}

// Name returns "Concat".
func (c Concat) Name() string { return "Concat" }

// Infer returns the joined shape.
func (c Concat) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) < 1 || c.Axis < 0 || c.Axis >= len(in[0]) {
		return nil, errorf("inputs %v: can't be joined along axis %d", in, c.Axis)
	}
	out := in[0].Clone()
	for _, s := range in[1:] {
		if len(s) != len(out) {
			return nil, errorf("inputs %v: want as many axes", in)
		}
		for a := range s {
			if a != c.Axis && s[a] != out[a] {
				return nil, errorf("inputs %v: want the same sizes but along axis %d", in, c.Axis)
			}
		}
		out[c.Axis] += s[c.Axis]
	}
	return out, nil
}

// Kinds returns exact values.
func (c Concat) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Diff is true for all inputs.
func (c Concat) Diff(n int) []bool { return all(n) }

// Grad cuts dy up.
func (c Concat) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	grads := make(gorgonia.Nodes, len(in))
	at := 0
	for i, n := range in {
		length := n.Shape()[c.Axis]
		grads[i] = s.apply(Slice{Axis: c.Axis, Offset: at, Length: length}, dy)
		at += length
	}
	return grads
}

// Slice is the part [Offset, Offset+Length) of x along an axis.
type Slice struct{ Axis, Offset, Length int }

// Apply returns that part of x.
func (c Slice) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.apply(c, x)
}

// Name returns "Slice".
func (c Slice) Name() string { return "Slice" }

// Infer returns x's shape with Length along the axis.
func (c Slice) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	x := in[0]
	if c.Axis < 0 || c.Axis >= len(x) || c.Offset < 0 || c.Length < 1 || c.Offset+c.Length > x[c.Axis] {
		return nil, errorf("input %v has no [%d,%d) along axis %d", x, c.Offset, c.Offset+c.Length, c.Axis)
	}
	out := x.Clone()
	out[c.Axis] = c.Length
	return out, nil
}

// Kinds returns exact values.
func (c Slice) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Diff is true.
func (c Slice) Diff(n int) []bool { return all(n) }

// Grad puts dy between zeros.
func (c Slice) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(ZeroPad{Axis: c.Axis, Before: c.Offset, Size: in[0].Shape()[c.Axis]}, dy)}
}

// ZeroPad puts x between zeros along an axis: Before of them first, Size in all.
type ZeroPad struct{ Axis, Before, Size int }

// Apply returns x between zeros.
func (c ZeroPad) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.apply(c, x)
}

// Name returns "ZeroPad".
func (c ZeroPad) Name() string { return "ZeroPad" }

// Infer returns x's shape with Size along the axis.
func (c ZeroPad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	x := in[0]
	if c.Axis < 0 || c.Axis >= len(x) || c.Before < 0 || c.Before+x[c.Axis] > c.Size {
		return nil, errorf("input %v does not fit at %d of %d along axis %d", x, c.Before, c.Size, c.Axis)
	}
	out := x.Clone()
	out[c.Axis] = c.Size
	return out, nil
}

// Kinds returns exact values.
func (c ZeroPad) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Diff is true.
func (c ZeroPad) Diff(n int) []bool { return all(n) }

// Grad cuts dy.
func (c ZeroPad) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(Slice{Axis: c.Axis, Offset: c.Before, Length: in[0].Shape()[c.Axis]}, dy)}
}
