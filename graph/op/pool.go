package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// MaxPool2D is the largest value below each window, channel by channel: x [N,H,W,C] → [N,H',W',C]. Padding never wins.
type MaxPool2D struct{ Geometry }

// Apply makes torch.nn.MaxPool2d with ceil_mode=False: x [N,H,W,C] → [N,H',W',C].
func (p MaxPool2D) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.apply(p, x)
}

// Name returns "MaxPool2D".
func (p MaxPool2D) Name() string { return "MaxPool2D" }

// Infer returns [N,H',W',C].
func (p MaxPool2D) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	return p.pooled(in[0])
}

// pooled returns [N,H',W',C] for x [N,H,W,C].
func (g Geometry) pooled(x tensor.Shape) (tensor.Shape, error) {
	if len(x) != 4 {
		return nil, errorf("input %v: want [N,H,W,C]", x)
	}
	if err := g.check(x[1], x[2]); err != nil {
		return nil, err
	}
	if g.Pad.Top >= g.KH || g.Pad.Bottom >= g.KH || g.Pad.Left >= g.KW || g.Pad.Right >= g.KW {
		return nil, errorf("window %d×%d with padding %v: want less padding than window, so that each sees a pixel", g.KH, g.KW, g.Pad)
	}
	h, w := g.Out(x[1], x[2])
	return tensor.Shape{x[0], h, w, x[3]}, nil
}

// Kinds returns features.
func (p MaxPool2D) Kinds(n int) ([]Kind, Kind) { return features(n) }

// Diff is true.
func (p MaxPool2D) Diff(n int) []bool { return all(n) }

// Grad returns the gradient of x.
func (p MaxPool2D) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	return gorgonia.Nodes{s.apply(MaxPool2DGrad(p), in[0], dy)}
}

// MaxPool2DGrad is the gradient of MaxPool2D: x [N,H,W,C], dy [N,H',W',C] → [N,H,W,C]. Each dy goes to the window's largest
// value, to the first of several in row-major order, as in PyTorch.
type MaxPool2DGrad struct{ Geometry }

// Name returns "MaxPool2DGrad".
func (p MaxPool2DGrad) Name() string { return "MaxPool2DGrad" }

// Infer returns x's shape.
func (p MaxPool2DGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 2); err != nil {
		return nil, err
	}
	y, err := p.pooled(in[0])
	if err != nil {
		return nil, err
	}
	if !equal(in[1], y) {
		return nil, errorf("gradient %v: want %v", in[1], y)
	}
	return in[0].Clone(), nil
}

// Kinds returns features.
func (p MaxPool2DGrad) Kinds(n int) ([]Kind, Kind) { return features(n) }

// AvgPool2D is the mean of what is below each window, channel by channel: x [N,H,W,C] → [N,H',W',C].
type AvgPool2D struct {
	Geometry
	CountIncludePad bool // the sum is divided by KH·KW everywhere; otherwise by the number of pixels without padding
}

// Apply makes torch.nn.AvgPool2d with ceil_mode=False: x [N,H,W,C] → [N,H',W',C]. With CountIncludePad, PyTorch's default,
// padding counts as zeros.
func (p AvgPool2D) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.apply(p, x)
}

// GlobalAvgPool returns the mean over all pixels, torch.nn.AdaptiveAvgPool2d(1): x [N,H,W,C] → [N,C].
func GlobalAvgPool(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	window := Geometry{Stride: 1}
	if x != nil && x.Dims() == 4 {
		window.KH, window.KW = x.Shape()[1], x.Shape()[2]
	}
	y := AvgPool2D{Geometry: window}.Apply(s, x)
	if y == nil {
		return nil
	}
	return View{y.Shape()[0], y.Shape()[3]}.Apply(s, y)
}

// Name returns "AvgPool2D".
func (p AvgPool2D) Name() string { return "AvgPool2D" }

// Infer returns [N,H',W',C].
func (p AvgPool2D) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	return p.pooled(in[0])
}

// Kinds returns features.
func (p AvgPool2D) Kinds(n int) ([]Kind, Kind) { return features(n) }

// Diff is true.
func (p AvgPool2D) Diff(n int) []bool { return all(n) }

// Grad spreads dy over the windows.
func (p AvgPool2D) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	x := in[0].Shape()
	return gorgonia.Nodes{s.apply(AvgPool2DGrad{Geometry: p.Geometry, H: x[1], W: x[2], CountIncludePad: p.CountIncludePad}, dy)}
}

// AvgPool2DGrad is the gradient of AvgPool2D with respect to its input of H×W pixels: dy [N,H',W',C] → [N,H,W,C].
type AvgPool2DGrad struct {
	Geometry
	H, W            int
	CountIncludePad bool
}

// Name returns "AvgPool2DGrad".
func (p AvgPool2DGrad) Name() string { return "AvgPool2DGrad" }

// Infer returns [N,H,W,C].
func (p AvgPool2DGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if len(in[0]) != 4 {
		return nil, errorf("gradient %v: want [N,H',W',C]", in[0])
	}
	x := tensor.Shape{in[0][0], p.H, p.W, in[0][3]}
	y, err := p.pooled(x)
	if err != nil {
		return nil, err
	}
	if !equal(in[0], y) {
		return nil, errorf("gradient %v: want %v", in[0], y)
	}
	return x, nil
}

// Kinds returns features.
func (p AvgPool2DGrad) Kinds(n int) ([]Kind, Kind) { return features(n) }
