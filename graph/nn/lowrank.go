package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// The parameters of a low-rank addition, named as in PEFT.
const (
	lowRankA = "lora_A.weight" // [rank,in], or a convolution's [KH,KW,I,rank]
	lowRankB = "lora_B.weight" // [out,rank], or [1,1,rank,O]
)

// adaptLinear adds to y, the output of the linear layer at s for x, that of the layer's low-rank addition, if it has
// one: x […,K], y […,out] → […,out].
//
//	y + scale·B(A(x))
func adaptLinear(s *op.Scope, x, y *gorgonia.Node, out int) *gorgonia.Node {
	l := s.LowRank()
	if l.Rank == 0 {
		return y
	}
	a, b := s.Param(lowRankA, l.Rank, channels(x)), s.Param(lowRankB, out, l.Rank)
	h := op.Scale{Factor: l.Scale()}.Apply(s, op.Linear{}.Apply(s, x, a, nil, nil))
	return op.Linear{}.Apply(s, h, b, nil, y)
}

// adaptConv is adaptLinear for a convolution: A is one of the same geometry, spec, with few outputs, B a 1×1.
func adaptConv(s *op.Scope, x, y *gorgonia.Node, spec op.Conv2D, c ConvConfig) *gorgonia.Node {
	l := s.LowRank()
	if l.Rank == 0 {
		return y
	}
	a := s.Param(lowRankA, c.Kernel, c.Kernel, channels(x), l.Rank)
	b := s.Param(lowRankB, 1, 1, l.Rank, c.Out)
	h := op.Scale{Factor: l.Scale()}.Apply(s, spec.Apply(s, x, a, nil, nil))
	return op.Conv2D{}.Apply(s, h, b, nil, y)
}
