package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// MaxPool2D is torch.nn.MaxPool2d with ceil_mode=False, the largest value in each window: x [N,H,W,C] → [N,H',W',C].
// Padding never wins. Pools have no gradient: only networks for inference use them.
type MaxPool2D struct{ Geometry }

// Apply returns the largest value in each window: x [N,H,W,C] → [N,H',W',C].
func (p MaxPool2D) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(p, x) }

func (p MaxPool2D) Infer(in []tensor.Shape) (tensor.Shape, error) { return p.pooled(in[0]) }

// pooled returns [N,H',W',C] for x [N,H,W,C].
func (g Geometry) pooled(x tensor.Shape) (tensor.Shape, error) {
	if len(x) != 4 {
		return nil, errorf("input %v: want [N,H,W,C]", x)
	}
	if err := g.check(x[1], x[2]); err != nil {
		return nil, err
	}
	if g.Pad.Top >= g.KH || g.Pad.Bottom >= g.KH || g.Pad.Left >= g.KW || g.Pad.Right >= g.KW {
		return nil, errorf("window %d×%d with padding %v: want less padding, so that each window sees a pixel", g.KH, g.KW,
			g.Pad)
	}
	h, w := g.Out(x[1], x[2])
	return tensor.Shape{x[0], h, w, x[3]}, nil
}

func (p MaxPool2D) Kinds(n int) ([]Kind, Kind) { return features(n) }

// AvgPool2D is torch.nn.AvgPool2d with ceil_mode=False, the mean of each window: x [N,H,W,C] → [N,H',W',C].
type AvgPool2D struct {
	Geometry
	CountIncludePad bool // PyTorch's default: padding counts as zeros; otherwise it doesn't count
}

// Apply returns the mean of each window: x [N,H,W,C] → [N,H',W',C].
func (p AvgPool2D) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node { return s.apply(p, x) }

// GlobalAvgPool returns the mean over all pixels, torch.nn.AdaptiveAvgPool2d(1): x [N,H,W,C] → [N,C].
func GlobalAvgPool(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	n, h, w, c := NHWC(x)
	return View{n, c}.Apply(s, AvgPool2D{Geometry: Geometry{KH: h, KW: w, Stride: 1}}.Apply(s, x))
}

func (p AvgPool2D) Infer(in []tensor.Shape) (tensor.Shape, error) { return p.pooled(in[0]) }
func (p AvgPool2D) Kinds(n int) ([]Kind, Kind)                    { return features(n) }
