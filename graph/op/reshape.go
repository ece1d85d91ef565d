package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// View is the shape that x gets, without a copy: View{2, 64, 16}.
type View tensor.Shape

// Apply returns x with the shape, which has equally many elements.
func (r View) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(r, x) }

func (r View) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := positive(tensor.Shape(r)); err != nil {
		return nil, err
	}
	if shape := tensor.Shape(r); Size(in[0]) != Size(shape) {
		return nil, errorf("input %v has %d elements, %v has %d", in[0], Size(in[0]), shape, Size(shape))
	}
	return tensor.Shape(r).Clone(), nil
}

func (r View) Kinds(n int) ([]Kind, Kind) { return features(n) }
func (r View) ViewOffset() int            { return 0 }

func (r View) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(View(in[0].Shape()), dy)}
}

// Pick is a part of a packed result, such as the gradient of one of several inputs that are computed together.
type Pick struct {
	Offset int // in elements
	Shape  tensor.Shape
	Store  Kind // of the packed value
}

func (p Pick) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := positive(p.Shape); err != nil {
		return nil, err
	}
	if p.Offset < 0 || p.Offset+Size(p.Shape) > Size(in[0]) {
		return nil, errorf("input %v has no %v at %d", in[0], p.Shape, p.Offset)
	}
	return p.Shape.Clone(), nil
}

func (p Pick) Kinds(int) ([]Kind, Kind) { return []Kind{p.Store}, p.Store }
func (p Pick) ViewOffset() int          { return p.Offset }

func positive(s tensor.Shape) error {
	for _, d := range s {
		if d < 1 {
			return errorf("shape %v: every size must be at least 1", s)
		}
	}
	return nil
}
