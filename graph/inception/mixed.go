package inception

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// layer is one convolution of a branch.
type layer struct {
	name string
	out  int
	g    op.Geometry
}

// branch is a chain of convolutions.
func (b builder) branch(s *op.Scope, x *gorgonia.Node, layers ...layer) *gorgonia.Node {
	for _, l := range layers {
		x = b.conv(s.Sub(l.name), x, l.out, l.g)
	}
	return x
}

// halving is a 3×3 kernel or window of stride 2 without padding.
func halving() op.Geometry { return op.Geometry{KH: 3, KW: 3, Stride: 2} }

// pooled is branch_pool: the mean over 3×3 pixels, or their maximum, and a 1×1 convolution.
func (b builder) pooled(s *op.Scope, x *gorgonia.Node, out int, largest bool) *gorgonia.Node {
	var p *gorgonia.Node
	if largest {
		p = op.MaxPool2D{Geometry: same(3, 3)}.Apply(s, x)
	} else {
		p = op.AvgPool2D{Geometry: same(3, 3), CountIncludePad: !b.fid}.Apply(s, x)
	}
	return b.branch(s, p, layer{"branch_pool", out, same(1, 1)})
}

// mixedA is InceptionA: x [N,35,35,C] → [N,35,35,224+pool].
func (b builder) mixedA(s *op.Scope, x *gorgonia.Node, pool int) *gorgonia.Node {
	return op.ConcatChannels(
		s,
		b.branch(s, x, layer{"branch1x1", 64, same(1, 1)}),
		b.branch(s, x, layer{"branch5x5_1", 48, same(1, 1)}, layer{"branch5x5_2", 64, same(5, 5)}),
		b.branch(s, x, layer{"branch3x3dbl_1", 64, same(1, 1)}, layer{"branch3x3dbl_2", 96, same(3, 3)},
			layer{"branch3x3dbl_3", 96, same(3, 3)}),
		b.pooled(s, x, pool, false),
	)
}

// mixedB is InceptionB: x [N,35,35,C] → [N,17,17,480+C].
func (b builder) mixedB(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	return op.ConcatChannels(
		s,
		b.branch(s, x, layer{"branch3x3", 384, halving()}),
		b.branch(s, x, layer{"branch3x3dbl_1", 64, same(1, 1)}, layer{"branch3x3dbl_2", 96, same(3, 3)},
			layer{"branch3x3dbl_3", 96, halving()}),
		op.MaxPool2D{Geometry: halving()}.Apply(s, x),
	)
}

// mixedC is InceptionC: x [N,17,17,C] → [N,17,17,768]; inner is the width of the 7×1 and 1×7 convolutions.
func (b builder) mixedC(s *op.Scope, x *gorgonia.Node, inner int) *gorgonia.Node {
	return op.ConcatChannels(
		s,
		b.branch(s, x, layer{"branch1x1", 192, same(1, 1)}),
		b.branch(s, x, layer{"branch7x7_1", inner, same(1, 1)}, layer{"branch7x7_2", inner, same(1, 7)},
			layer{"branch7x7_3", 192, same(7, 1)}),
		b.branch(s, x, layer{"branch7x7dbl_1", inner, same(1, 1)}, layer{"branch7x7dbl_2", inner, same(7, 1)},
			layer{"branch7x7dbl_3", inner, same(1, 7)}, layer{"branch7x7dbl_4", inner, same(7, 1)},
			layer{"branch7x7dbl_5", 192, same(1, 7)}),
		b.pooled(s, x, 192, false),
	)
}

// mixedD is InceptionD: x [N,17,17,C] → [N,8,8,512+C].
func (b builder) mixedD(s *op.Scope, x *gorgonia.Node) *gorgonia.Node {
	return op.ConcatChannels(
		s,
		b.branch(s, x, layer{"branch3x3_1", 192, same(1, 1)}, layer{"branch3x3_2", 320, halving()}),
		b.branch(s, x, layer{"branch7x7x3_1", 192, same(1, 1)}, layer{"branch7x7x3_2", 192, same(1, 7)},
			layer{"branch7x7x3_3", 192, same(7, 1)}, layer{"branch7x7x3_4", 192, halving()}),
		op.MaxPool2D{Geometry: halving()}.Apply(s, x),
	)
}

// mixedE is InceptionE: x [N,8,8,C] → [N,8,8,2048].
func (b builder) mixedE(s *op.Scope, x *gorgonia.Node, largest bool) *gorgonia.Node {
	square := b.branch(s, x, layer{"branch3x3_1", 384, same(1, 1)})
	double := b.branch(s, x, layer{"branch3x3dbl_1", 448, same(1, 1)}, layer{"branch3x3dbl_2", 384, same(3, 3)})
	return op.ConcatChannels(
		s,
		b.branch(s, x, layer{"branch1x1", 320, same(1, 1)}),
		b.branch(s, square, layer{"branch3x3_2a", 384, same(1, 3)}),
		b.branch(s, square, layer{"branch3x3_2b", 384, same(3, 1)}),
		b.branch(s, double, layer{"branch3x3dbl_3a", 384, same(1, 3)}),
		b.branch(s, double, layer{"branch3x3dbl_3b", 384, same(3, 1)}),
		b.pooled(s, x, 192, largest),
	)
}
