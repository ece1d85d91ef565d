package inception

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
)

// Variant is one of the two networks. They have the same parameters, with different values, and differ in their
// pooling.
type Variant uint8

// The variants.
const (
	// TorchVision is torchvision.models.inception_v3: the pools in the Mixed blocks average, and padding counts as zeros.
	TorchVision Variant = iota
	// FID is pytorch_fid's copy of the network with which the Fréchet inception distance was defined, TensorFlow's of
	// 2015: padding does not count, and the pool in Mixed_7c takes the maximum.
	FID
)

func (v Variant) String() string { return [...]string{"torchvision", "fid"}[v] }

const (
	// Side is the height and width of the pixels.
	Side = 299
	// Features is the number of features of an image.
	Features = 2048
	// eps is BatchNorm's.
	eps = 1e-3
)

// Network is Inception v3 as a graph.
type Network struct {
	Scope  *op.Scope
	Folds  *nn.Folds         // to be folded between binding the parameters and compiling
	Pixels *gorgonia.Node    // [N,299,299,3], 2·(rgb/255) − 1
	Pool3  *gorgonia.Node    // [N,2048], the mean over the pixels of the last block
	Blocks [3]*gorgonia.Node // [N,73,73,64], [N,35,35,192], [N,17,17,768]: pytorch_fid's output blocks 0 to 2
}

// builder makes layers: each is torchvision's BasicConv2d.
type builder struct {
	folds *nn.Folds
	fid   bool
}

// Build makes the graph.
func Build(v Variant, batch int) (*Network, error) {
	s := op.NewScope("inception")
	n := &Network{Scope: s, Folds: &nn.Folds{}, Pixels: s.Input("pixels", batch, Side, Side, 3)}
	b := builder{folds: n.Folds, fid: v == FID}

	x := b.conv(s.Sub("Conv2d_1a_3x3"), n.Pixels, 32, op.Geometry{KH: 3, KW: 3, Stride: 2})
	x = b.conv(s.Sub("Conv2d_2a_3x3"), x, 32, op.Geometry{KH: 3, KW: 3, Stride: 1})
	x = b.conv(s.Sub("Conv2d_2b_3x3"), x, 64, same(3, 3))
	x = op.MaxPool2D{Geometry: op.Geometry{KH: 3, KW: 3, Stride: 2}}.Apply(s, x)
	n.Blocks[0] = x
	x = b.conv(s.Sub("Conv2d_3b_1x1"), x, 80, same(1, 1))
	x = b.conv(s.Sub("Conv2d_4a_3x3"), x, 192, op.Geometry{KH: 3, KW: 3, Stride: 1})
	x = op.MaxPool2D{Geometry: op.Geometry{KH: 3, KW: 3, Stride: 2}}.Apply(s, x)
	n.Blocks[1] = x
	x = b.mixedA(s.Sub("Mixed_5b"), x, 32)
	x = b.mixedA(s.Sub("Mixed_5c"), x, 64)
	x = b.mixedA(s.Sub("Mixed_5d"), x, 64)
	x = b.mixedB(s.Sub("Mixed_6a"), x)
	x = b.mixedC(s.Sub("Mixed_6b"), x, 128)
	x = b.mixedC(s.Sub("Mixed_6c"), x, 160)
	x = b.mixedC(s.Sub("Mixed_6d"), x, 160)
	x = b.mixedC(s.Sub("Mixed_6e"), x, 192)
	n.Blocks[2] = x
	x = b.mixedD(s.Sub("Mixed_7a"), x)
	x = b.mixedE(s.Sub("Mixed_7b"), x, false)
	x = b.mixedE(s.Sub("Mixed_7c"), x, b.fid)
	n.Pool3 = op.GlobalAvgPool(s, x)
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%v variant: %w", v, err)
	}
	return n, nil
}

// same is a kernel with stride 1 and the padding that keeps the size.
func same(kh, kw int) op.Geometry {
	return op.Geometry{
		KH: kh, KW: kw, Stride: 1,
		Pad: op.Padding{Top: kh / 2, Left: kw / 2, Bottom: kh / 2, Right: kw / 2},
	}
}

// conv is BasicConv2d: convolution, BatchNorm, ReLU: x [N,H,W,I] → [N,H',W',out].
func (b builder) conv(s *op.Scope, x *gorgonia.Node, out int, g op.Geometry) *gorgonia.Node {
	return op.ReLU.Apply(s, b.folds.ConvNorm(s.Sub("conv"), s.Sub("bn"), x, out, g, eps, nil))
}
