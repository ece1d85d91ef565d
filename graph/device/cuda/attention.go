//go:build gpu

package cuda

import (
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// heads is an attention of N samples with H heads of d channels each.
type heads struct {
	samples, heads, queries, keys, d int
	causal                           bool
	chunk                            int // queries that are done at a time
}

func (b *builder) heads(s op.Attention) heads {
	q, k := b.request.In[0].Shape, b.request.In[1].Shape
	h := heads{samples: q[0], heads: s.Heads, queries: q[1], keys: k[1], d: q[2] / s.Heads, causal: s.Causal}
	perQuery := int64(h.samples) * int64(h.heads) * int64(h.keys) * 4
	h.chunk = int(min(max(b.device.probabilities/perQuery, 1), int64(h.queries)))
	return h
}

func (h heads) count() int { return h.samples * h.heads }

// tokens views x [N,length,H·d], or the part behind its first tokens, as matrices [tokens,d].
func (h heads) tokens(x value, length, first int) matrix {
	c := h.heads * h.d
	return matrix{x.plus(first * c), c, 1, length * c, h.d}
}

// scores views a workspace as matrices [n,keys].
func (h heads) scores(x value, n int) matrix {
	return matrix{x, h.keys, 1, h.heads * n * h.keys, n * h.keys}
}

// t is the transposed matrix.
func (m matrix) t() matrix {
	m.row, m.col = m.col, m.row
	return m
}

// scale is 1/√d.
func (h heads) scale() float32 { return float32(1 / math.Sqrt(float64(h.d))) }

// each visits the queries, chunk at a time.
func (h heads) each(visit func(first, n int)) {
	for first := 0; first < h.queries; first += h.chunk {
		visit(first, min(h.chunk, h.queries-first))
	}
}

// attend launches softmax(q·kᵀ/√d) for n queries from first on: p, by way of s, which may be p.
func (b *builder) attend(h heads, q, k value, s, p value, first, n int) {
	y := h.scores(s, n)
	b.gemm(h.tokens(q, h.queries, first), h.tokens(k, h.keys, 0).t(), epilogue{y: y, alpha: h.scale()}, n, h.keys, h.d, h.count(), h.heads)
	period := 0
	if h.causal {
		period = n
	}
	b.rows("softmax", h.count()*n, s, p, h.keys, period, first+1)
}

// probabilities is memory for a chunk of them as products take them beside q, k and v: cuBLASLt wants one element type. s is float32.
func (b *builder) probabilities(h heads, s value) value {
	if b.device.lt.handle == nil || b.request.In[0].DType != device.BFloat16 {
		return s
	}
	return b.halves(h.count() * h.chunk * h.keys)
}

func attention(b *builder) bool {
	switch s := b.request.Spec.(type) {
	case op.Attention:
		h := b.heads(s)
		if b.flashes(h) {
			b.flash(h)
			return true
		}
		scores := b.scratch(h.count() * h.chunk * h.keys)
		p := b.probabilities(h, scores)
		h.each(func(first, n int) {
			b.attend(h, b.in(0), b.in(1), scores, p, first, n)
			e := epilogue{y: h.tokens(b.out(), h.queries, first), alpha: 1}
			b.gemm(h.scores(p, n), h.tokens(b.in(2), h.keys, 0), e, n, h.d, h.keys, h.count(), h.heads)
		})
	case op.AttentionGrad:
		h := b.heads(op.Attention(s))
		if b.flashes(h) {
			b.flashGrad(h)
			return true
		}
		b.attentionGrad(h)
	default:
		return false
	}
	return true
}

// attentionGrad is, with P the probabilities and S = q·kᵀ/√d:
//
//	dv = Pᵀ·dy    dP = dy·vᵀ    dS = P∘(dP − rowsum(P∘dP))    dq = dS·k/√d    dk = dSᵀ·q/√d
//
// dk and dv add up over the chunks, in float32.
func (b *builder) attentionGrad(h heads) {
	q, k, v, dy := b.in(0), b.in(1), b.in(2), b.in(3)
	sizeQ, sizeK := size(b.request.In[0]), size(b.request.In[1])
	scores := b.scratch(h.count() * h.chunk * h.keys)
	p, dp := b.probabilities(h, scores), scores
	if p == scores {
		dp = b.scratch(h.count() * h.chunk * h.keys)
	}
	ds := b.probabilities(h, dp)
	dq, dk, dv := b.out(), b.out().plus(sizeQ), b.out().plus(sizeQ+sizeK)
	sumK, sumV := dk, dv
	apart := h.chunk < h.queries && b.request.Out.DType == device.BFloat16
	if apart {
		sumK, sumV = b.scratch(sizeK), b.scratch(sizeK)
	}
	h.each(func(first, n int) {
		before := func(sum value) value { // what the chunks before have added up
			if first == 0 {
				return value{}
			}
			return sum
		}
		rowsQ, rowsDY := h.tokens(q, h.queries, first), h.tokens(dy, h.queries, first)
		b.attend(h, q, k, scores, p, first, n)
		b.gemm(h.scores(p, n).t(), rowsDY, epilogue{residual: before(sumV), y: h.tokens(sumV, h.keys, 0), alpha: 1}, h.keys, h.d, n, h.count(), h.heads)
		b.gemm(rowsDY, h.tokens(v, h.keys, 0).t(), epilogue{y: h.scores(dp, n), alpha: 1}, n, h.keys, h.d, h.count(), h.heads)
		b.rows("softmax_grad", h.count()*n, p, dp, ds, h.keys)
		b.gemm(h.scores(ds, n), h.tokens(k, h.keys, 0), epilogue{y: h.tokens(dq, h.queries, first), alpha: h.scale()}, n, h.d, h.keys, h.count(), h.heads)
		b.gemm(h.scores(ds, n).t(), rowsQ, epilogue{residual: before(sumK), y: h.tokens(sumK, h.keys, 0), alpha: h.scale()}, h.keys, h.d, n, h.count(), h.heads)
	})
	if apart {
		b.flat("cast", sizeK, sumK, dk, sizeK)
		b.flat("cast", sizeK, sumV, dv, sizeK)
	}
}
