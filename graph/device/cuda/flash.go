//go:build gpu

package cuda

import (
	"fmt"
	"math"

	"github.com/histdist/histdist/graph/device"
)

// flashKernel is a size of heads that kernels/attention.cu has kernels for.
type flashKernel struct {
	d    int  // the widest head
	keys int  // of a tile
	wide bool // there is a kernel for 128 queries a block
	held bool // the gradients of keys hold their rows in registers
}

// pitch is the distance of rows in shared memory, in elements: PITCH of kernels/mma.cuh.
func (k flashKernel) pitch() int { return (k.d/8 | 1) * 8 }

var flashKernels = [...]flashKernel{
	{d: 40, keys: 64, wide: true, held: true},
	{d: 64, keys: 64, wide: true, held: true},
	{d: 80, keys: 64, wide: true, held: true},
	{d: 160, keys: 32},
}

const (
	flashThreads = 128 // ATTENTION_THREADS
	flashRows    = 64  // of a block
	flashWide    = 128 // of a block of twice as many
)

// flashes tells whether the kernels of kernels/attention.cu do an attention: all is bfloat16, and a head isn't too wide.
func (b *builder) flashes(h heads) bool {
	for _, o := range append([]device.Operand{b.request.Out}, b.request.In...) {
		if o.DType != device.BFloat16 {
			return false
		}
	}
	return h.d <= flashKernels[len(flashKernels)-1].d && h.heads <= math.MaxUint16 && h.samples <= math.MaxUint16
}

// flashKernel is the kernel for heads of d channels.
func (h heads) flashKernel() flashKernel {
	for _, k := range flashKernels {
		if h.d <= k.d {
			return k
		}
	}
	return flashKernel{}
}

// flashArguments is Attention of kernels/attention.cu.
type flashArguments struct {
	q, k, v, dy, o, dk, dv, stats pointer
}

func (a flashArguments) structure(h heads) structure {
	return structure{
		a.q, a.k, a.v, a.dy, a.o, a.dk, a.dv, a.stats,
		h.queries, h.keys, h.heads, h.d, h.causal, h.padded(), h.scale() * math.Log2E,
	}
}

// padded is the number of queries, rounded up to blocks.
func (h heads) padded() int { return ceil(h.queries, flashRows) * flashRows }

// grid has a block for some rows of each head of each sample.
func (h heads) grid(rows, block int) [3]int { return [3]int{ceil(rows, block), h.heads, h.samples} }

// flash launches attention.
func (b *builder) flash(h heads) {
	b.algorithm = ownAlgorithm
	k := h.flashKernel()
	a := flashArguments{q: b.in(0).pointer, k: b.in(1).pointer, v: b.in(2).pointer, o: b.out().pointer}
	rows := b.flashRows(h, k)
	b.launchShared(fmt.Sprintf("attention_%d_%d", k.d, rows), h.grid(h.queries, rows), flashThreads, k.tiles(), a.structure(h))
}

// flashRows is how many queries a block of the forward pass has.
func (b *builder) flashRows(h heads, k flashKernel) int {
	if k.wide && b.fills(h.count()*ceil(h.queries, flashWide)) {
		return flashWide
	}
	return flashRows
}

// tiles is the shared memory of two stages of two tiles, in bytes.
func (k flashKernel) tiles() int { return 2 * 2 * k.keys * k.pitch() * 2 }

// fills tells whether so many blocks of 128 threads are enough work for the GPU.
func (b *builder) fills(blocks int) bool { return 2*blocks >= 3*b.device.multiprocessors }

// flashGrad launches three kernels: what the softmax comes to for each query, the gradients of queries, and those of keys and values.
func (b *builder) flashGrad(h heads) {
	b.algorithm = ownAlgorithm
	k := h.flashKernel()
	sizeQ, sizeK := size(b.request.In[0]), size(b.request.In[1])
	out := b.out()
	a := flashArguments{
		q: b.in(0).pointer, k: b.in(1).pointer, v: b.in(2).pointer, dy: b.in(3).pointer,
		o: out.pointer, dk: out.plus(sizeQ).pointer, dv: out.plus(sizeQ + sizeK).pointer,
		stats: b.scratch(2 * h.count() * h.padded()).pointer,
	}
	rows := b.flashRows(h, k)
	b.launchShared(fmt.Sprintf("attention_statistics_%d_%d", k.d, rows), h.grid(h.queries, rows), flashThreads, k.tiles(), a.structure(h))
	b.launchShared(fmt.Sprintf("attention_queries_%d", k.d), h.grid(h.queries, flashRows), flashThreads, k.tiles(), a.structure(h))
	shared := k.tiles() + 2*2*k.keys*4 // two stages of two statistics
	if !k.held {
		shared += 2 * flashRows * k.pitch() * 2
	}
	b.launchShared(fmt.Sprintf("attention_keys_%d", k.d), h.grid(h.keys, flashRows), flashThreads, shared, a.structure(h))
}
