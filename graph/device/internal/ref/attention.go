package ref

import (
	"math"
	"slices"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/parallel"
)

// heads are the independent parts of an attention: H for each sample.
type heads struct {
	samples, perSample int
	queries, keys      int
	width              int // channels of a head
	causal             bool
}

func headsOf(s op.Attention, q, k tensor.Shape) heads {
	return heads{samples: q[0], perSample: s.Heads, queries: q[1], keys: k[1], width: q[2] / s.Heads, causal: s.Causal}
}

func (h heads) count() int { return h.samples * h.perSample }

// scale is 1/√d.
func (h heads) scale() float64 { return 1 / math.Sqrt(float64(h.width)) }

// of views head i of x [N,length,H·d] as a matrix [length,d].
func of[T element](h heads, i int, x []T, length int) matrix[T] {
	channels := h.perSample * h.width
	sample := row(x, i/h.perSample, length*channels)
	return matrix[T]{data: sample[i%h.perSample*h.width:], rows: length, cols: h.width, stride: channels}
}

// queryRows is how many queries are done at a time: the matrix of their probabilities is [queryRows,keys].
const queryRows = 64

// block is the size of a matrix of probabilities.
func (h heads) block() int { return min(queryRows, h.queries) * h.keys }

// blocks visits the queries, some at a time.
func (h heads) blocks(visit func(first, n int)) {
	for first := 0; first < h.queries; first += queryRows {
		visit(first, min(queryRows, h.queries-first))
	}
}

// probabilities fills p with softmax(q·kᵀ/√d) for the queries from first on, which are the rows of q.
func probabilities[T element](h heads, first int, q, k, p matrix[T]) {
	multiply(p, T(h.scale()), q, k.t(), 0)
	for i := range p.rows {
		seen := p.row(i)
		if h.causal {
			clear(seen[first+i+1:])
			seen = seen[:first+i+1]
		}
		softmaxOf(seen, seen)
	}
}

func attention[T element](s op.Attention, r device.Request) *kernel[T] {
	h := headsOf(s, r.In[0].Shape, r.In[1].Shape)
	return &kernel[T]{scratch: h.count() * h.block(), run: func(o operands[T]) {
		parallel.For(h.count(), func(i int) {
			q, k, v := of(h, i, o.in[0], h.queries), of(h, i, o.in[1], h.keys), of(h, i, o.in[2], h.keys)
			out := of(h, i, o.out, h.queries)
			h.blocks(func(first, n int) {
				p := dense(row(o.scratch, i, h.block()), n, h.keys)
				probabilities(h, first, q.part(first, n), k, p)
				multiply(out.part(first, n), 1, p, v, 0)
			})
		})
	}}
}

// attentionGrad is, with P the probabilities and S = q·kᵀ/√d:
//
//	dv = Pᵀ·dy    dP = dy·vᵀ    dS = P∘(dP − rowsum(P∘dP))    dq = dS·k/√d    dk = dSᵀ·q/√d
func attentionGrad[T element](s op.AttentionGrad, r device.Request) *kernel[T] {
	h := headsOf(op.Attention(s), r.In[0].Shape, r.In[1].Shape)
	sizeQ, sizeK := op.Size(r.In[0].Shape), op.Size(r.In[1].Shape)
	return &kernel[T]{scratch: h.count() * 2 * h.block(), run: func(o operands[T]) {
		clear(o.out)
		parallel.For(h.count(), func(i int) {
			q, k, v := of(h, i, o.in[0], h.queries), of(h, i, o.in[1], h.keys), of(h, i, o.in[2], h.keys)
			dy := of(h, i, o.in[3], h.queries)
			dq := of(h, i, o.out[:sizeQ], h.queries)
			dk := of(h, i, o.out[sizeQ:sizeQ+sizeK], h.keys)
			dv := of(h, i, o.out[sizeQ+sizeK:], h.keys)
			scale := T(h.scale())
			h.blocks(func(first, n int) {
				p := dense(row(o.scratch, 2*i, h.block()), n, h.keys)
				ds := dense(row(o.scratch, 2*i+1, h.block()), n, h.keys)
				probabilities(h, first, q.part(first, n), k, p)
				multiply(dv, 1, p.t(), dy.part(first, n), 1)
				multiply(ds, 1, dy.part(first, n), v.t(), 0)
				for j := range n {
					softmaxGradOf(ds.row(j), p.row(j), ds.row(j))
				}
				multiply(dq.part(first, n), scale, ds, k, 0)
				multiply(dk, scale, ds.t(), q.part(first, n), 1)
			})
		})
	}}
}

// softmaxOf takes the largest element off first, so that no exponential overflows. out may be x.
func softmaxOf[T element](out, x []T) {
	top := float64(slices.Max(x))
	sum := 0.0
	for i, v := range x {
		e := math.Exp(float64(v) - top)
		sum += e
		out[i] = T(e)
	}
	for i := range out {
		out[i] = T(float64(out[i]) / sum)
	}
}

// softmaxGradOf is y·(dy − Σ y·dy). out may be dy.
func softmaxGradOf[T element](out, y, dy []T) {
	sum := 0.0
	for i := range y {
		sum += float64(y[i]) * float64(dy[i])
	}
	for i := range y {
		out[i] = T(float64(y[i]) * (float64(dy[i]) - sum))
	}
}
