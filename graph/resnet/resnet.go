package resnet

import (
	"fmt"
	"strconv"
	"strings"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/nn"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/weights"
)

// eps is BatchNorm's.
const eps = 1e-5

// expansion is how much wider a block's output is than its inner convolutions.
const expansion = 4

// Channels are the numbers of channels after the four stages of ResNet-50.
func Channels() [4]int { return [4]int{256, 512, 1024, 2048} }

// blocks are the numbers of bottleneck blocks in the stages.
func blocks() [4]int { return [4]int{3, 4, 6, 3} }

// Network is ResNet-50 as a graph.
type Network struct {
	Scope  *op.Scope
	Folds  *nn.Folds         // to be folded between binding the parameters and compiling
	Pixels *gorgonia.Node    // [N,H,W,3], normalised with ImageNet's mean and deviation
	Layers [4]*gorgonia.Node // layer1 [N,H/4,W/4,256] to layer4 [N,H/32,W/32,2048], sizes rounded up
	Means  *gorgonia.Node    // [N,3840]: the mean over the pixels of each channel of Layers, one layer after the other
}

// Mapping allows what a published file has in addition to the network's tensors: the classifier and BatchNorm's
// counters.
func Mapping() weights.Mapping {
	return weights.Mapping{Ignore: func(name string) bool {
		return strings.HasPrefix(name, "fc.") || strings.HasSuffix(name, ".num_batches_tracked")
	}}
}

// Build makes the graph for images of height×width pixels.
func Build(batch, height, width int) (*Network, error) {
	s := op.NewScope("resnet50")
	n := &Network{Scope: s, Folds: &nn.Folds{}, Pixels: s.Input("pixels", batch, height, width, 3)}
	x := n.Folds.ConvNorm(s.Sub("conv1"), s.Sub("bn1"), n.Pixels, 64, op.Geometry{KH: 7, KW: 7, Stride: 2, Pad: op.Pad(3)},
		eps, nil)
	x = op.MaxPool2D{Geometry: op.Geometry{KH: 3, KW: 3, Stride: 2, Pad: op.Pad(1)}}.Apply(s, op.ReLU.Apply(s, x))
	means := make([]*gorgonia.Node, 0, len(n.Layers))
	for i, count := range blocks() {
		layer := s.Sub("layer" + strconv.Itoa(i+1))
		for j := range count {
			stride := 1
			if i > 0 && j == 0 {
				stride = 2
			}
			x = n.bottleneck(layer.Sub(strconv.Itoa(j)), x, Channels()[i], stride, j == 0)
		}
		n.Layers[i] = layer.Mark(x)
		means = append(means, channelMeans(layer, x))
	}
	n.Means = op.ConcatChannels(s, means...)
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%d×%d pixels: %w", width, height, err)
	}
	return n, nil
}

// bottleneck is torchvision's Bottleneck: x [N,H,W,I] → [N,H/stride,W/stride,out].
//
//	conv1 1×1 → conv2 3×3 with the stride → conv3 1×1 → + x, through downsample if project; a ReLU after each
func (n *Network) bottleneck(s *op.Scope, x *gorgonia.Node, out, stride int, project bool) *gorgonia.Node {
	inner := out / expansion
	one := op.Geometry{KH: 1, KW: 1, Stride: 1}
	h := op.ReLU.Apply(s, n.Folds.ConvNorm(s.Sub("conv1"), s.Sub("bn1"), x, inner, one, eps, nil))
	three := op.Geometry{KH: 3, KW: 3, Stride: stride, Pad: op.Pad(1)}
	h = op.ReLU.Apply(s, n.Folds.ConvNorm(s.Sub("conv2"), s.Sub("bn2"), h, inner, three, eps, nil))
	if project {
		d := s.Sub("downsample")
		x = n.Folds.ConvNorm(d.Sub("0"), d.Sub("1"), x, out, op.Geometry{KH: 1, KW: 1, Stride: stride}, eps, nil)
	}
	return op.ReLU.Apply(s, n.Folds.ConvNorm(s.Sub("conv3"), s.Sub("bn3"), h, out, one, eps, x))
}

// channelMeans is the mean over all pixels: x [N,H,W,C] → [N,C]. Columns first, then their means: a sum of H·W float32
// numbers in a row would lose digits in large images, and the threshold of a perceptual hash is small.
func channelMeans(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	_, height, _, _ := op.NHWC(x)
	columns := op.AvgPool2D{Geometry: op.Geometry{KH: height, KW: 1, Stride: 1}}.Apply(s, x)
	return op.GlobalAvgPool(s, columns)
}
