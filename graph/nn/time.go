package nn

import (
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// TimestepEmbedding is diffusers' TimestepEmbedding: the sinusoids x [N,C] → [N,out] through two linear layers with a SiLU
// between them.
func TimestepEmbedding(s *op.Scope, x *gorgonia.Node, out int) *gorgonia.Node {
	h := op.Activate(s, Linear(s.Sub("linear_1"), x, out, true, nil), op.SiLUAct)
	return Linear(s.Sub("linear_2"), h, out, true, nil)
}
