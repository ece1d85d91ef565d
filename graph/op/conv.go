package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Padding is the number of rows and columns of zeros around an image.
type Padding struct{ Top, Left, Bottom, Right int }

// Pad is the same padding on all sides.
func Pad(n int) Padding { return Padding{n, n, n, n} }

// Geometry is how a convolution walks over an image.
type Geometry struct {
	KH, KW, Stride int
	Pad            Padding
}

// Out returns the size of the convolution's output for an input of h×w pixels.
func (g Geometry) Out(h, w int) (int, int) {
	return (h+g.Pad.Top+g.Pad.Bottom-g.KH)/g.Stride + 1, (w+g.Pad.Left+g.Pad.Right-g.KW)/g.Stride + 1
}

func (g Geometry) check(h, w int) error {
	if g.KH < 1 || g.KW < 1 || g.Stride < 1 || g.Pad.Top < 0 || g.Pad.Left < 0 || g.Pad.Bottom < 0 || g.Pad.Right < 0 {
		return errorf("kernel %d×%d, stride %d, padding %v: want sizes and stride of at least 1 and no negative padding",
			g.KH, g.KW, g.Stride, g.Pad)
	}
	if h+g.Pad.Top+g.Pad.Bottom < g.KH || w+g.Pad.Left+g.Pad.Right < g.KW {
		return errorf("kernel %d×%d does not fit an image of %d×%d with padding %v", g.KH, g.KW, h, w, g.Pad)
	}
	return nil
}

// Conv2D is a convolution: x [N,H,W,I], weight [KH,KW,I,O], bias [O] if Bias, residual [N,H',W',O] if Residual →
// [N,H',W',O]. With ResizeH > 0 the input is read as if resized to ResizeH×ResizeW by nearest neighbour.
type Conv2D struct {
	Geometry
	ResizeH, ResizeW int
	Bias, Residual   bool
	Act              Act  // after bias and residual; set by the compiler where it fuses a following Activation
	From             Kind // of x: Feature, or Exact where the compiler finds that, as for shortcuts and resamplers
	Store            Kind // of the output: Exact, or Feature where the compiler fuses an Activation or a Cast
}

// Apply makes torch.nn.Conv2d: x [N,H,W,I], weight [KH,KW,I,O] → [N,H',W',O]. bias [O] and residual [N,H',W',O], which
// is added to the result, may be nil. The kernel's size is the weight's, and a stride of 0 means 1: the zero value is a
// convolution without padding.
func (c Conv2D) Apply(s *Scope, x, weight, bias, residual *gorgonia.Node) *gorgonia.Node {
	c.Stride = max(c.Stride, 1)
	c.Bias, c.Residual, c.Store = bias != nil, residual != nil, Exact
	if weight != nil && weight.Dims() == 4 {
		c.KH, c.KW = weight.Shape()[0], weight.Shape()[1]
	}
	return s.apply(c, optional(gorgonia.Nodes{x, weight}, bias, residual)...)
}

// optional appends those of more that are not nil.
func optional(in gorgonia.Nodes, more ...*gorgonia.Node) gorgonia.Nodes {
	for _, n := range more {
		if n != nil {
			in = append(in, n)
		}
	}
	return in
}

// Source returns the size of the image that the convolution walks over: the input's, or the size that it is resized to.
func (c Conv2D) Source(x tensor.Shape) (h, w int) {
	if c.ResizeH > 0 {
		return c.ResizeH, c.ResizeW
	}
	return x[1], x[2]
}

func (c Conv2D) Infer(in []tensor.Shape) (tensor.Shape, error) {
	x, w := in[0], in[1]
	if len(x) != 4 || len(w) != 4 {
		return nil, errorf("input %v and weight %v: want [N,H,W,I] and [KH,KW,I,O]", x, w)
	}
	if w[2] != x[3] {
		return nil, errorf("input %v does not match weight %v: %d channels, want %d", x, w, x[3], w[2])
	}
	if w[0] != c.KH || w[1] != c.KW {
		return nil, errorf("weight %v: want a kernel of %d×%d", w, c.KH, c.KW)
	}
	if (c.ResizeH > 0) != (c.ResizeW > 0) || c.ResizeH < 0 {
		return nil, errorf("resize to %d×%d: want two positive sizes or none", c.ResizeH, c.ResizeW)
	}
	h, wd := c.Source(x)
	if err := c.check(h, wd); err != nil {
		return nil, err
	}
	oh, ow := c.Out(h, wd)
	out := tensor.Shape{x[0], oh, ow, w[3]}
	if c.Bias && !equal(in[2], tensor.Shape{w[3]}) {
		return nil, errorf("bias %v: want [%d]", in[2], w[3])
	}
	return withResidualOf(out, in, c.Residual)
}

// withResidualOf checks the residual, which is the last input, and returns the output's shape.
func withResidualOf(out tensor.Shape, in []tensor.Shape, residual bool) (tensor.Shape, error) {
	if last := in[len(in)-1]; residual && !equal(last, out) {
		return nil, errorf("residual %v: want the output's shape %v", last, out)
	}
	return out, nil
}

func (c Conv2D) Kinds(n int) ([]Kind, Kind) { return productKinds(n, c.From), c.Store }

// productKinds are the kinds of n inputs: of the factor x or dy, then exact for weight, [bias] and [residual].
func productKinds(n int, from Kind) []Kind {
	k, _ := exacts(n)
	k[0] = from
	return k
}

func (c Conv2D) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	if c.Act != NoAct {
		return gorgonia.Nodes{s.fail("%s: a fused activation has no gradient", Name(c))}
	}
	x, w := in[0], in[1]
	h, wd := c.Source(x.Shape())
	dx := s.apply(ConvDataGrad{Geometry: c.Geometry, H: h, W: wd}, dy, w)
	from := x
	if c.ResizeH > 0 {
		dx = s.apply(UpsampleGrad{H: x.Shape()[1], W: x.Shape()[2]}, dx)
		from = s.apply(Upsample{H: h, W: wd}, x)
	}
	grads := gorgonia.Nodes{dx, s.apply(ConvWeightGrad{Geometry: c.Geometry}, from, dy)}
	if c.Bias {
		grads = append(grads, s.apply(SumRows{}, dy))
	}
	if c.Residual {
		grads = append(grads, dy)
	}
	return grads
}

func (c Conv2D) InPlace(n int) []int { return residualInPlace(n, c.Residual) }

func residualInPlace(n int, residual bool) []int {
	if residual {
		return []int{n - 1}
	}
	return nil
}

func (c Conv2D) FLOPs(in []tensor.Shape, out tensor.Shape) int64 {
	return 2 * int64(Size(out)) * int64(c.KH*c.KW*in[1][2])
}

// ConvDataGrad is the gradient of Conv2D with respect to its (resized) input of H×W pixels: dy [N,H',W',O], weight
// [KH,KW,I,O], [residual [N,H,W,I], added to the result] → [N,H,W,I].
type ConvDataGrad struct {
	Geometry
	H, W     int
	Residual bool // set by the compiler where it fuses a sum of gradients
	Store    Kind // of the output: Feature, or Exact where the compiler fuses a sum of gradients or a Cast
}

func (c ConvDataGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if err := c.check(c.H, c.W); err != nil {
		return nil, err
	}
	dy, w := in[0], in[1]
	oh, ow := c.Out(c.H, c.W)
	if len(dy) != 4 || len(w) != 4 || dy[1] != oh || dy[2] != ow || dy[3] != w[3] || w[0] != c.KH || w[1] != c.KW {
		return nil, errorf("gradient %v and weight %v: want [N,%d,%d,O] and [KH,KW,I,O] of %d×%d", dy, w, oh, ow, c.KH, c.KW)
	}
	return withResidualOf(tensor.Shape{dy[0], c.H, c.W, w[2]}, in, c.Residual)
}

func (c ConvDataGrad) Kinds(n int) ([]Kind, Kind) { return productKinds(n, Feature), c.Store }
func (c ConvDataGrad) InPlace(n int) []int        { return residualInPlace(n, c.Residual) }

func (c ConvDataGrad) FLOPs(in []tensor.Shape, _ tensor.Shape) int64 {
	return 2 * int64(Size(in[0])) * int64(c.KH*c.KW*in[1][2])
}

// ConvWeightGrad is the gradient of Conv2D with respect to its weight: x [N,H,W,I], resized if Conv2D resizes it,
// dy [N,H',W',O] → [KH,KW,I,O].
type ConvWeightGrad struct{ Geometry }

func (c ConvWeightGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	x, dy := in[0], in[1]
	if len(x) != 4 || len(dy) != 4 || x[0] != dy[0] {
		return nil, errorf("input %v and gradient %v: want [N,H,W,I] and [N,H',W',O]", x, dy)
	}
	if err := c.check(x[1], x[2]); err != nil {
		return nil, err
	}
	if oh, ow := c.Out(x[1], x[2]); dy[1] != oh || dy[2] != ow {
		return nil, errorf("gradient %v: want [%d,%d,%d,O]", dy, x[0], oh, ow)
	}
	return tensor.Shape{c.KH, c.KW, x[3], dy[3]}, nil
}

func (c ConvWeightGrad) Kinds(n int) ([]Kind, Kind) { return make([]Kind, n), Exact }

func (c ConvWeightGrad) FLOPs(in []tensor.Shape, _ tensor.Shape) int64 {
	return 2 * int64(Size(in[1])) * int64(c.KH*c.KW*in[0][3])
}

// SumRows is the gradient of a bias: x […,C] → [C], the sum over all but the last axis.
type SumRows struct{}

func (SumRows) Infer(in []tensor.Shape) (tensor.Shape, error) {
	if len(in[0]) < 1 {
		return nil, errorf("input %v: want […,C]", in[0])
	}
	return tensor.Shape{lastDim(in[0])}, nil
}

func (SumRows) Kinds(n int) ([]Kind, Kind) { return make([]Kind, n), Exact }
