package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// Downsample is diffusers' Downsample2D with a convolution: x [N,H,W,C] → [N,⌈H/2⌉,⌈W/2⌉,C], padded by 1 on all sides.
func Downsample(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	return Conv(s.Sub("conv"), x, ConvConfig{Out: channels(x), Kernel: 3, Stride: 2, Pad: op.Pad(1)})
}

// DownsampleRight is Downsample as the VAE's encoder has it: padded by 1 at the bottom and on the right only, so
// x [N,H,W,C] → [N,⌊H/2⌋,⌊W/2⌋,C].
func DownsampleRight(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	return Conv(s.Sub("conv"), x, ConvConfig{Out: channels(x), Kernel: 3, Stride: 2, Pad: op.Padding{Bottom: 1, Right: 1}})
}

// Upsample is diffusers' Upsample2D with a convolution: x [N,h,w,C] → [N,height,width,C], resized by nearest neighbour.
func Upsample(s *op.Scope, x *gorgonia.Node, height, width int) *gorgonia.Node {
	c := ConvConfig{Out: channels(x), Kernel: 3, Pad: op.Pad(1), ResizeH: height, ResizeW: width}
	return Conv(s.Sub("conv"), x, c)
}
