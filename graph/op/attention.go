package op

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Attention is scaled dot-product attention whose H heads divide the channels: q [N,Lq,H·d], k [N,Lk,H·d],
// v [N,Lk,H·d] → [N,Lq,H·d], softmax(q·kᵀ/√d)·v for each head (Vaswani et al. 2017, eq. 1). Causal lets query i see the
// keys 0…i only.
type Attention struct {
	Heads  int
	Causal bool
}

// Apply makes the node: q [N,Lq,H·d], k and v [N,Lk,H·d] → [N,Lq,H·d].
func (a Attention) Apply(s *Scope, q, k, v *gorgonia.Node) *gorgonia.Node { return s.apply(a, q, k, v) }

func (a Attention) Infer(in []tensor.Shape) (tensor.Shape, error) {
	q, k, v := in[0], in[1], in[2]
	if len(q) != 3 || len(k) != 3 || !equal(k, v) || q[0] != k[0] || q[2] != k[2] {
		return nil, errorf("queries %v, keys %v and values %v: want [N,Lq,C], [N,Lk,C] and [N,Lk,C]", q, k, v)
	}
	if a.Heads < 1 || q[2]%a.Heads != 0 {
		return nil, errorf("queries %v: %d channels do not divide into %d heads", q, q[2], a.Heads)
	}
	if a.Causal && q[1] != k[1] {
		return nil, errorf("causal attention of %d queries to %d keys: want equally many", q[1], k[1])
	}
	return q.Clone(), nil
}

func (a Attention) Kinds(n int) ([]Kind, Kind) { return features(n) }

// Grad returns the gradients of q, k and v, which one operation computes together.
func (a Attention) Grad(s *Scope, in gorgonia.Nodes, _, dy *gorgonia.Node) gorgonia.Nodes {
	packed := s.apply(AttentionGrad(a), in[0], in[1], in[2], dy)
	q, k := in[0].Shape(), in[1].Shape()
	return gorgonia.Nodes{
		s.apply(Pick{Offset: 0, Shape: q}, packed),
		s.apply(Pick{Offset: Size(q), Shape: k}, packed),
		s.apply(Pick{Offset: Size(q) + Size(k), Shape: k}, packed),
	}
}

// FLOPs counts the two products, 4·N·Lq·Lk·H·d; a causal mask is not subtracted.
func (a Attention) FLOPs(in []tensor.Shape, _ tensor.Shape) int64 {
	return 4 * int64(Size(in[0])) * int64(in[1][1])
}

// AttentionGrad is q, k, v, dy → one vector: the gradients of q, k and v, one after the other. The probabilities are
// computed again, a block at a time.
type AttentionGrad Attention

func (a AttentionGrad) Infer(in []tensor.Shape) (tensor.Shape, error) {
	q, err := Attention(a).Infer(in)
	if err != nil {
		return nil, err
	}
	if !equal(in[3], q) {
		return nil, errorf("gradient %v: want %v", in[3], q)
	}
	return tensor.Shape{Size(q) + 2*Size(in[1])}, nil
}

func (a AttentionGrad) Kinds(n int) ([]Kind, Kind) { return features(n) }

func (a AttentionGrad) FLOPs(in []tensor.Shape, _ tensor.Shape) int64 {
	return 10 * int64(Size(in[0])) * int64(in[1][1])
}
