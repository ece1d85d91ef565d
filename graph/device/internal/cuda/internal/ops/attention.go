//go:build gpu

package ops

import (
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

// heads is an attention of N samples with H heads of d channels each.
type heads struct {
	samples, heads, queries, keys, d int
	causal                           bool
	chunk                            int // queries that are done at a time
}

func (b *builder) heads(s op.Attention) heads {
	q, k := b.Request.In[0].Shape, b.Request.In[1].Shape
	h := heads{samples: q[0], heads: s.Heads, queries: q[1], keys: k[1], d: q[2] / s.Heads, causal: s.Causal}
	perQuery := int64(h.samples) * int64(h.heads) * int64(h.keys) * 4
	h.chunk = int(min(max(b.gpu.Limits.Probabilities/perQuery, 1), int64(h.queries)))
	return h
}

func (h heads) count() int { return h.samples * h.heads }

// tokens views x [N,length,H·d], or the part after its first tokens, as matrices [tokens,d].
func (h heads) tokens(x launch.Value, length, first int) matrix {
	c := h.heads * h.d
	return matrix{x.Plus(first * c), c, 1, length * c, h.d}
}

// scores views a workspace as matrices [n,keys].
func (h heads) scores(x launch.Value, n int) matrix {
	return matrix{x, h.keys, 1, h.heads * n * h.keys, n * h.keys}
}

// scale is 1/√d.
func (h heads) scale() float32 { return float32(1 / math.Sqrt(float64(h.d))) }

// each visits the queries, chunk at a time.
func (h heads) each(visit func(first, n int)) {
	for first := 0; first < h.queries; first += h.chunk {
		visit(first, min(h.chunk, h.queries-first))
	}
}

// product is the extent of one for each head of each sample.
func (h heads) product(m, n, k int) extent { return extent{m, n, k, h.count(), h.heads} }

// probabilitiesOf launches softmax(q·kᵀ/√d) for n queries from first on: p, by way of s, which may be p.
func (b *builder) probabilitiesOf(h heads, q, k launch.Value, s, p launch.Value, first, n int) {
	e := epilogue{y: h.scores(s, n), alpha: h.scale()}
	b.gemm(h.tokens(q, h.queries, first), h.tokens(k, h.keys, 0).t(), e, h.product(n, h.keys, h.d))
	period := 0
	if h.causal {
		period = n
	}
	b.Rows("softmax", h.count()*n, s, p, h.keys, period, first+1)
}

// probabilities is memory for a chunk of them as products with q, k and v take them: cuBLASLt wants one element type.
// s is float32.
func (b *builder) probabilities(h heads, s launch.Value) launch.Value {
	if b.gpu.lt == nil || b.Request.In[0].DType != device.BFloat16 {
		return s
	}
	return b.Halves(h.count() * h.chunk * h.keys)
}

func attention(b *builder) bool {
	switch s := b.Request.Spec.(type) {
	case op.Attention:
		h := b.heads(s)
		if b.flashes(h) {
			b.flash(h)
			return true
		}
		scores := b.Scratch(h.count() * h.chunk * h.keys)
		p := b.probabilities(h, scores)
		h.each(func(first, n int) {
			b.probabilitiesOf(h, b.In(0), b.In(1), scores, p, first, n)
			e := epilogue{y: h.tokens(b.Out(), h.queries, first), alpha: 1}
			b.gemm(h.scores(p, n), h.tokens(b.In(2), h.keys, 0), e, h.product(n, h.d, h.keys))
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
	q, k, v, dy := b.In(0), b.In(1), b.In(2), b.In(3)
	sizeQ, sizeK := size(b.Request.In[0]), size(b.Request.In[1])
	scores := b.Scratch(h.count() * h.chunk * h.keys)
	p, dp := b.probabilities(h, scores), scores
	if p == scores {
		dp = b.Scratch(h.count() * h.chunk * h.keys)
	}
	ds := b.probabilities(h, dp)
	dq, dk, dv := b.Out(), b.Out().Plus(sizeQ), b.Out().Plus(sizeQ+sizeK)
	sumK, sumV := dk, dv
	apart := h.chunk < h.queries && b.Request.Out.DType == device.BFloat16
	if apart {
		sumK, sumV = b.Scratch(sizeK), b.Scratch(sizeK)
	}
	h.each(func(first, n int) {
		before := func(sum launch.Value) launch.Value { // what the chunks before have added up
			if first == 0 {
				return launch.Value{}
			}
			return sum
		}
		rowsQ, rowsDY := h.tokens(q, h.queries, first), h.tokens(dy, h.queries, first)
		b.probabilitiesOf(h, q, k, scores, p, first, n)
		toV := epilogue{residual: before(sumV), y: h.tokens(sumV, h.keys, 0), alpha: 1}
		b.gemm(h.scores(p, n).t(), rowsDY, toV, h.product(h.keys, h.d, n))
		b.gemm(rowsDY, h.tokens(v, h.keys, 0).t(), epilogue{y: h.scores(dp, n), alpha: 1}, h.product(n, h.keys, h.d))
		b.Rows("softmax_grad", h.count()*n, p, dp, ds, h.keys)
		toQ := epilogue{y: h.tokens(dq, h.queries, first), alpha: h.scale()}
		b.gemm(h.scores(ds, n), h.tokens(k, h.keys, 0), toQ, h.product(n, h.d, h.keys))
		toK := epilogue{residual: before(sumK), y: h.tokens(sumK, h.keys, 0), alpha: h.scale()}
		b.gemm(h.scores(ds, n).t(), rowsQ, toK, h.product(h.keys, h.d, n))
	})
	if apart {
		b.Flat("cast", sizeK, sumK, dk, sizeK)
		b.Flat("cast", sizeK, sumV, dv, sizeK)
	}
}
