package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// TimestepEmbedding is diffusers' TimestepEmbedding: the sinusoids x [N,C] → [N,out] through two linear layers with a
// SiLU between them.
func TimestepEmbedding(s *op.Scope, x *gorgonia.Node, out int) *gorgonia.Node {
	h := op.SiLU.Apply(s, Linear(s.Sub("linear_1"), x, LinearConfig{Out: out}))
	return s.Mark(Linear(s.Sub("linear_2"), h, LinearConfig{Out: out}))
}
