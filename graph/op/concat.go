package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Concat joins values along an axis. Their other sizes are equal.
type Concat struct{ Axis int }

// ConcatChannels joins along the last axis: […,C1], […,C2], … → […,C1+C2+…].
func ConcatChannels(s *Scope, in ...*gorgonia.Node) *gorgonia.Node {
	axis := 0
	if len(in) > 0 && in[0] != nil {
		axis = in[0].Dims() - 1
	}
	return s.apply(Concat{Axis: axis}, in...)
}

func (c Concat) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in) < 1 || c.Axis < 0 || c.Axis >= len(in[0]) {
		return nil, errorf("inputs %v: can't be joined along axis %d", in, c.Axis)
	}
	out := in[0].Clone()
	for _, s := range in[1:] {
		if len(s) != len(out) {
			return nil, errorf("inputs %v: want the same number of axes", in)
		}
		for a := range s {
			if a != c.Axis && s[a] != out[a] {
				return nil, errorf("inputs %v: want the same sizes except along axis %d", in, c.Axis)
			}
		}
		out[c.Axis] += s[c.Axis]
	}
	return out, nil
}

func (c Concat) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

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
func (c Slice) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(c, x) }

func (c Slice) Infer(in []tensor.Shape) (tensor.Shape, error) {
	x := in[0]
	if c.Axis < 0 || c.Axis >= len(x) || c.Offset < 0 || c.Length < 1 || c.Offset+c.Length > x[c.Axis] {
		return nil, errorf("input %v has no [%d,%d) along axis %d", x, c.Offset, c.Offset+c.Length, c.Axis)
	}
	out := x.Clone()
	out[c.Axis] = c.Length
	return out, nil
}

func (c Slice) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

func (c Slice) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(ZeroPad{Axis: c.Axis, Before: c.Offset, Size: in[0].Shape()[c.Axis]}, dy)}
}

// ZeroPad pads x with zeros along an axis: Before of them first, to Size in all.
type ZeroPad struct{ Axis, Before, Size int }

// Apply returns x padded with zeros.
func (c ZeroPad) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(c, x) }

func (c ZeroPad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	x := in[0]
	if c.Axis < 0 || c.Axis >= len(x) || c.Before < 0 || c.Before+x[c.Axis] > c.Size {
		return nil, errorf("input %v does not fit at %d of %d along axis %d", x, c.Before, c.Size, c.Axis)
	}
	out := x.Clone()
	out[c.Axis] = c.Size
	return out, nil
}

func (c ZeroPad) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

func (c ZeroPad) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(Slice{Axis: c.Axis, Offset: c.Before, Length: in[0].Shape()[c.Axis]}, dy)}
}
