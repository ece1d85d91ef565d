//go:build gpu

package ops

import (
	"fmt"
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
)

// flashes reports whether the kernels of attention.cu do an attention: all is bfloat16, and a head isn't too wide.
func (b *builder) flashes(h heads) bool {
	for _, o := range append([]device.Operand{b.Request.Out}, b.Request.In...) {
		if o.DType != device.BFloat16 {
			return false
		}
	}
	widest := kernels.AttentionSizes[len(kernels.AttentionSizes)-1].D
	return h.d <= widest && h.heads <= math.MaxUint16 && h.samples <= math.MaxUint16
}

// attentionSize is that of the kernels for heads of d channels.
func (h heads) attentionSize() kernels.AttentionSize {
	for _, s := range kernels.AttentionSizes {
		if h.d <= s.D {
			return s
		}
	}
	return kernels.AttentionSize{}
}

// flashArguments is Attention of attention.cuh.
type flashArguments struct {
	q, k, v, dy, o, dk, dv, stats launch.Pointer
}

func (a flashArguments) structure(h heads) launch.Structure {
	return launch.Structure{
		a.q, a.k, a.v, a.dy, a.o, a.dk, a.dv, a.stats,
		h.queries, h.keys, h.heads, h.d, h.causal, h.padded(), h.scale() * math.Log2E,
	}
}

// padded is the number of queries, rounded up to blocks.
func (h heads) padded() int { return ceil(h.queries, kernels.AttentionRows) * kernels.AttentionRows }

// grid has a block for some rows of each head of each sample.
func (h heads) grid(rows, block int) [3]int { return [3]int{ceil(rows, block), h.heads, h.samples} }

// flash launches attention.
func (b *builder) flash(h heads) {
	b.Algorithm = ownAlgorithm
	s := h.attentionSize()
	a := flashArguments{q: b.In(0).Pointer, k: b.In(1).Pointer, v: b.In(2).Pointer, o: b.Out().Pointer}
	rows := b.flashRows(h, s)
	b.LaunchShared(fmt.Sprintf("attention_%d_%d", s.D, rows),
		h.grid(h.queries, rows), kernels.AttentionThreads, s.Tiles(), a.structure(h))
}

// flashRows is how many queries a block of the forward pass has.
func (b *builder) flashRows(h heads, s kernels.AttentionSize) int {
	const wide = 2 * kernels.AttentionRows
	if s.Wide && b.fills(h.count()*ceil(h.queries, wide)) {
		return wide
	}
	return kernels.AttentionRows
}

// fills reports whether so many blocks of 128 threads are enough work for the GPU.
func (b *builder) fills(blocks int) bool { return 2*blocks >= 3*b.gpu.Multiprocessors }

// flashGrad launches three kernels: what the softmax comes to for each query, the gradients of queries, and those of
// keys and values.
func (b *builder) flashGrad(h heads) {
	b.Algorithm = ownAlgorithm
	s := h.attentionSize()
	sizeQ, sizeK := size(b.Request.In[0]), size(b.Request.In[1])
	out := b.Out()
	a := flashArguments{
		q: b.In(0).Pointer, k: b.In(1).Pointer, v: b.In(2).Pointer, dy: b.In(3).Pointer,
		o: out.Pointer, dk: out.Plus(sizeQ).Pointer, dv: out.Plus(sizeQ + sizeK).Pointer,
		stats: b.Scratch(2 * h.count() * h.padded()).Pointer,
	}
	rows := b.flashRows(h, s)
	b.LaunchShared(fmt.Sprintf("attention_statistics_%d_%d", s.D, rows),
		h.grid(h.queries, rows), kernels.AttentionThreads, s.Tiles(), a.structure(h))
	b.LaunchShared(fmt.Sprintf("attention_queries_%d", s.D),
		h.grid(h.queries, kernels.AttentionRows), kernels.AttentionThreads, s.Tiles(), a.structure(h))
	shared := s.Tiles() + 2*2*s.Keys*4 // two stages of two statistics
	if !s.Held {
		shared += 2 * kernels.AttentionRows * kernels.Pitch(s.D) * 2
	}
	b.LaunchShared(fmt.Sprintf("attention_keys_%d", s.D),
		h.grid(h.keys, kernels.AttentionRows), kernels.AttentionThreads, shared, a.structure(h))
}
