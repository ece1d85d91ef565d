package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// ConvConfig is the shape of a convolution with a square kernel and a bias.
type ConvConfig struct {
	Out, Kernel      int
	Stride           int // 0 means 1
	Pad              op.Padding
	ResizeH, ResizeW int            // nearest-neighbour resize of the input before the convolution; 0: none
	Residual         *gorgonia.Node // added to the result; nil for none
}

// Conv is torch.nn.Conv2d: x [N,H,W,I] → [N,H',W',Out].
func Conv(s *op.Scope, x *gorgonia.Node, c ConvConfig) *gorgonia.Node {
	w, b := s.Param("weight", c.Kernel, c.Kernel, channels(x), c.Out), s.Param("bias", c.Out)
	spec := op.Conv2D{Geometry: op.Geometry{Stride: c.Stride, Pad: c.Pad}, ResizeH: c.ResizeH, ResizeW: c.ResizeW}
	return s.Mark(adaptConv(s, x, spec.Apply(s, x, w, b, c.Residual), spec, c))
}

// Conv3x3 is a convolution that keeps the image's size, padded by 1: x [N,H,W,I] → [N,H,W,out].
func Conv3x3(s *op.Scope, x *gorgonia.Node, out int) *gorgonia.Node {
	return Conv(s, x, ConvConfig{Out: out, Kernel: 3, Pad: op.Pad(1)})
}

// Conv1x1 is a linear layer on each pixel: x [N,H,W,I] → [N,H,W,out].
func Conv1x1(s *op.Scope, x *gorgonia.Node, out int) *gorgonia.Node {
	return Conv(s, x, ConvConfig{Out: out, Kernel: 1})
}

// channels is the size of the last axis; of nil, which follows an error, it is 1.
func channels(x *gorgonia.Node) int {
	if x == nil || x.Dims() == 0 {
		return 1
	}
	return x.Shape()[x.Dims()-1]
}

// LinearConfig is the shape of a linear layer.
type LinearConfig struct {
	Out      int
	NoBias   bool
	Residual *gorgonia.Node // added to the result; nil for none
}

// Linear is torch.nn.Linear: x […,K] → […,Out].
func Linear(s *op.Scope, x *gorgonia.Node, c LinearConfig) *gorgonia.Node {
	w := s.Param("weight", c.Out, channels(x))
	var b *gorgonia.Node
	if !c.NoBias {
		b = s.Param("bias", c.Out)
	}
	return s.Mark(adaptLinear(s, x, op.Linear{}.Apply(s, x, w, b, c.Residual), c.Out))
}

// NormConfig is the shape of a group norm.
type NormConfig struct {
	Groups int     // norm_num_groups, 32
	Eps    float64 // 1e-5 in the U-Net, 1e-6 in the VAE
}

// GroupNorm is torch.nn.GroupNorm: x [N,…,C] → [N,…,C].
func GroupNorm(s *op.Scope, x *gorgonia.Node, c NormConfig) *gorgonia.Node {
	return groupNorm(s, x, op.GroupNorm{Groups: c.Groups}, c.Eps)
}

// GroupNormSiLU is torch.nn.GroupNorm and torch.nn.SiLU in one operation: x [N,…,C] → [N,…,C].
func GroupNormSiLU(s *op.Scope, x *gorgonia.Node, c NormConfig) *gorgonia.Node {
	return groupNorm(s, x, op.GroupNorm{Groups: c.Groups, SiLU: true}, c.Eps)
}

func groupNorm(s *op.Scope, x *gorgonia.Node, spec op.GroupNorm, eps float64) *gorgonia.Node {
	gamma, beta := s.Param("weight", channels(x)), s.Param("bias", channels(x))
	return s.Mark(spec.Apply(s, x, gamma, beta, eps))
}

// LayerNorm is torch.nn.LayerNorm over the channels: x […,C] → […,C].
func LayerNorm(s *op.Scope, x *gorgonia.Node, eps float64) *gorgonia.Node {
	gamma, beta := s.Param("weight", channels(x)), s.Param("bias", channels(x))
	return s.Mark(op.LayerNorm{Eps: eps}.Apply(s, x, gamma, beta))
}

// Embedding is torch.nn.Embedding of classes that are trained: one-hot classes [N,classes] → [N,out].
func Embedding(s *op.Scope, classes *gorgonia.Node, out int) *gorgonia.Node {
	return op.Rows(s, classes, s.Param("weight", channels(classes), out))
}
