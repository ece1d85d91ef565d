package op

import "slices"

// LowRank says which layers of a network have low-rank additions to their weights, W + Alpha/Rank·B·A (Hu et al. 2021,
// "LoRA: Low-Rank Adaptation of Large Language Models"). The zero value is none.
type LowRank struct {
	Rank   int
	Alpha  float64
	Layers []string // their full names, such as mid_block.attentions.0.transformer_blocks.0.attn1.to_q
}

// Of reports whether a layer has one.
func (l LowRank) Of(layer string) bool { return slices.Contains(l.Layers, layer) }

// Scale is what the product of B and A is multiplied by.
func (l LowRank) Scale() float64 { return l.Alpha / float64(l.Rank) }

// Adapt returns a place like s at and below which layers have low-rank additions; layers ask for them with LowRank.
func (s *Scope) Adapt(l LowRank) *Scope {
	t := *s
	t.lowRank = &l
	return &t
}

// LowRank returns the addition to the layer at s; its Rank is 0 if the layer has none.
func (s *Scope) LowRank() LowRank {
	if s.lowRank == nil || !s.lowRank.Of(s.path) {
		return LowRank{}
	}
	return *s.lowRank
}
