package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// View is the same bytes under another shape, which it is: View{2, 64, 16}. Nothing is copied.
type View tensor.Shape

// Apply returns x under the shape, which has as many elements.
func (r View) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(r, x) }

// Name returns "View".
func (r View) Name() string { return "View" }

// Infer returns the shape.
func (r View) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if err := positive(tensor.Shape(r)); err != nil {
		return nil, err
	}
	if shape := tensor.Shape(r); Size(in[0]) != Size(shape) {
		return nil, errorf("input %v has %d elements, %v has %d", in[0], Size(in[0]), shape, Size(shape))
	}
	return tensor.Shape(r).Clone(), nil
}

// Kinds returns features.
func (r View) Kinds(n int) ([]Kind, Kind) { return features(n) }

// ViewOffset is 0.
func (r View) ViewOffset() int { return 0 }

// Diff is true.
func (r View) Diff(n int) []bool { return all(n) }

// Grad views dy under x's shape.
func (r View) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(View(in[0].Shape()), dy)}
}

// Pick is a stretch of a packed result, such as the gradient of one input among several that are computed together.
type Pick struct {
	Offset int // in elements
	Shape  tensor.Shape
	Store  Kind // of the packed value, hence of the stretch
}

// Name returns "Pick".
func (p Pick) Name() string { return "Pick" }

// Infer returns Shape.
func (p Pick) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if err := positive(p.Shape); err != nil {
		return nil, err
	}
	if p.Offset < 0 || p.Offset+Size(p.Shape) > Size(in[0]) {
		return nil, errorf("input %v has no %v at %d", in[0], p.Shape, p.Offset)
	}
	return p.Shape.Clone(), nil
}

// Kinds returns the packed value's kind.
func (p Pick) Kinds(int) ([]Kind, Kind) { return []Kind{p.Store}, p.Store }

// ViewOffset is Offset.
func (p Pick) ViewOffset() int { return p.Offset }

func positive(s tensor.Shape) error {
	for _, d := range s {
		if d < 1 {
			return errorf("shape %v: every size must be at least 1", s)
		}
	}
	return nil
}
