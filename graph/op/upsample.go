package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Upsample resizes by nearest neighbour: x [N,h,w,C] → [N,H,W,C]; the pixel (y,x) is the source's (⌊y·h/H⌋, ⌊x·w/W⌋), the
// quotients h/H and w/W and the products in float32, as torch.nn.functional.interpolate(mode="nearest") has them.
type Upsample struct{ H, W int }

// Apply resizes by nearest neighbour: x [N,h,w,C] → [N,H,W,C]. A convolution that follows can do that itself: see Conv2D.
func (u Upsample) Apply(s *Scope, x *gorgonia.Node) *gorgonia.Node {
	return s.apply(u, x)
}

// Name returns "Upsample".
func (u Upsample) Name() string { return "Upsample" }

// Infer returns [N,H,W,C].
func (u Upsample) Infer(in []tensor.Shape) (tensor.Shape, error) { return resized(in, u.H, u.W) }

func resized(in []tensor.Shape, h, w int) (tensor.Shape, error) {
	if err := arity(in, 1); err != nil {
		return nil, err
	}
	if len(in[0]) != 4 || h < 1 || w < 1 {
		return nil, errorf("input %v to %d×%d: want [N,H,W,C] and sizes of at least 1", in[0], h, w)
	}
	return tensor.Shape{in[0][0], h, w, in[0][3]}, nil
}

// Kinds returns exact values.
func (u Upsample) Kinds(n int) ([]Kind, Kind) { return exacts(n) }

// Diff is true.
func (u Upsample) Diff(n int) []bool { return all(n) }

// Grad sums dy over the copies of each pixel.
func (u Upsample) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	x := in[0].Shape()
	return gorgonia.Nodes{s.apply(UpsampleGrad{H: x[1], W: x[2]}, dy)}
}

// UpsampleGrad is the gradient of Upsample: dy [N,H',W',C] → [N,H,W,C], H×W being the source's size.
type UpsampleGrad struct{ H, W int }

// Name returns "UpsampleGrad".
func (u UpsampleGrad) Name() string { return "UpsampleGrad" }

// Infer returns [N,H,W,C].
func (u UpsampleGrad) Infer(in []tensor.Shape) (tensor.Shape, error) { return resized(in, u.H, u.W) }

// Kinds returns exact values.
func (u UpsampleGrad) Kinds(n int) ([]Kind, Kind) { return exacts(n) }
