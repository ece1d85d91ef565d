//go:build gpu

package cuda

// #include "internal/cudnn/dnn.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

const (
	// sdpaScores is from how many scores, queries × keys, on cuDNN does attention: a plan takes half a second to make, and few scores leave
	// nothing to gain.
	sdpaScores = 1 << 18
	// sdpaGradScores is the same for its gradients, up to sdpaGradMost. On an H100, 8 samples of 8 heads: 1024×1024 288 µs, ours 408; 4096×4096 3.38
	// ms, ours 3.34, and they want no matrix of scores; 4096×77 216 µs, ours 199.
	sdpaGradScores = 1 << 20
	sdpaGradMost   = 1 << 22
	// sdpaMatrix is the most that the gradients' plan may take for its matrix of the scores' gradients, in bytes. Without the matrix the order of
	// sums wouldn't be fixed.
	sdpaMatrix = 512 << 20
	// sdpaWorkspace is the most that a plan may take, in bytes.
	sdpaWorkspace = sdpaMatrix + 64<<20
)

// sdpa is an attention of bfloat16 that cuDNN computes, or its gradients: scaled dot product attention, as it calls it. A run that has an
// operand at an odd address takes own instead: views at odd places, which networks don't make.
type sdpa struct {
	device    *Device
	calls     []dnnCall // in order
	own       *kernel
	scratch   int64 // what the calls hand to each other, in bytes; behind it lies cuDNN's
	algorithm string
}

// Workspace is the scratch memory in bytes.
func (k *sdpa) Workspace() int64 {
	var most int64
	for i := range k.calls {
		most = max(most, int64(k.calls[i].plan.made.workspace))
	}
	return max(k.scratch+most+256, k.own.Workspace()) // 256 for aligned
}

// Algorithm names cuDNN's engines.
func (k *sdpa) Algorithm() string { return k.algorithm }

// Close gives the plans back.
func (k *sdpa) Close() error {
	var errs []error
	for i := range k.calls {
		errs = append(errs, k.calls[i].close(k.device))
	}
	k.calls = nil
	return errors.Join(append(errs, k.own.Close())...)
}

func (k *sdpa) enqueue(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	at := func(p pointer) unsafe.Pointer { return p.at(out, in, workspace) }
	for i := range k.calls {
		if !k.calls[i].aligned(at) {
			return k.own.enqueue(out, in, workspace)
		}
	}
	rest := aligned(unsafe.Add(workspace, k.scratch))
	for i := range k.calls {
		if err := k.calls[i].enqueue(k.device, at, rest); err != nil {
			return fmt.Errorf("%s: %w", k.device.Name(), err)
		}
	}
	return nil
}

// attend compiles an attention for cuDNN. It returns nil for what is none or better done by our own kernels; an error says why cuDNN can't do it.
func (d *Device) attend(r device.Request) (*sdpa, error) {
	b := &builder{device: d, request: r}
	var s op.Attention
	least, most, grad := sdpaScores, math.MaxInt, false
	switch v := r.Spec.(type) {
	case op.Attention:
		s = v
	case op.AttentionGrad:
		s, least, most, grad = op.Attention(v), sdpaGradScores, sdpaGradMost, true
	default:
		return nil, nil
	}
	if d.scores != 0 {
		least, most = d.scores, math.MaxInt
	}
	h := b.heads(s)
	// No network has a causal attention that is large.
	if d.dnn.library == nil || d.scores < 0 || h.queries*h.keys < least || h.queries*h.keys > most || h.causal || h.d%8 != 0 || !b.flashes(h) {
		return nil, nil
	}
	own := &builder{device: d, request: r}
	a := &attender{builder: b, heads: h}
	if grad {
		own.flashGrad(h)
		a.grad()
	} else {
		own.flash(h)
		a.forward(b.out(), pointer{})
	}
	if a.err == nil {
		a.err = own.err
	}
	k := &sdpa{device: d, calls: a.calls, own: own.kernel(), scratch: rounded(b.workspace), algorithm: a.algorithm()}
	if a.err != nil {
		return nil, errors.Join(a.err, k.Close())
	}
	return k, nil
}

// attender collects the calls of an attention.
type attender struct {
	*builder // its err is why there is no plan
	heads    heads
	calls    []dnnCall
}

// plan finds the plan for n samples.
func (a *attender) plan(n int, c C.hd_dnn_attention) (*plan, error) {
	h := a.heads
	i := func(v int) C.int32_t { return C.int32_t(v) }
	c.n, c.heads, c.queries, c.keys, c.d = i(n), i(h.heads), i(h.queries), i(h.keys), i(h.d)
	c.scale = C.float(h.scale())
	return a.device.dnn.plan(a.device, c)
}

// call adds a call of a plan for samples from first on.
func (a *attender) call(n, first int, c C.hd_dnn_attention, tensors map[int]value) {
	if a.err != nil {
		return
	}
	p, err := a.plan(n, c)
	if err != nil {
		a.err = err
		return
	}
	l := dnnCall{plan: p}
	h := a.heads
	for i, v := range tensors {
		if v.from == nowhere {
			continue
		}
		row := h.heads * h.d
		elements := first * row // of one position
		switch i {
		case C.HD_DNN_K, C.HD_DNN_V, C.HD_DNN_DK, C.HD_DNN_DV:
			elements *= h.keys
		case C.HD_DNN_STATS, C.HD_DNN_SUMS:
			elements = first * h.heads * h.queries
		default:
			elements *= h.queries
		}
		l.tensors[i] = v.plus(elements).pointer
	}
	numbers := unsafe.Pointer(p.made.numbers)
	l.tensors[C.HD_DNN_SCALE] = pointer{from: fixed, fixed: numbers}
	if c.grad != 0 {
		l.tensors[C.HD_DNN_ONE] = pointer{from: fixed, fixed: numbers, offset: 16}
	}
	a.calls = append(a.calls, l)
}

// forward adds the attention itself, with its statistics if they have a place.
func (a *attender) forward(o value, stats pointer) {
	c := C.hd_dnn_attention{stats: C.int32_t(flag(stats.from != nowhere))}
	a.call(a.heads.samples, 0, c, map[int]value{
		C.HD_DNN_Q: a.in(0), C.HD_DNN_K: a.in(1), C.HD_DNN_V: a.in(2), C.HD_DNN_O: o, C.HD_DNN_STATS: {pointer: stats},
	})
}

// grad adds the attention once more, and its gradients.
func (a *attender) grad() {
	h := a.heads
	sizeQ, sizeK := size(a.request.In[0]), size(a.request.In[1])
	o, stats, sums := a.halves(sizeQ), a.scratch(h.count()*h.queries), a.scratch(h.count()*h.queries)
	n := h.together(a.device.matrix)
	for first := 0; first < h.samples; first += n {
		a.call(n, first, C.hd_dnn_attention{grad: 1}, map[int]value{
			C.HD_DNN_Q: a.in(0), C.HD_DNN_K: a.in(1), C.HD_DNN_V: a.in(2), C.HD_DNN_O: o, C.HD_DNN_STATS: stats, C.HD_DNN_DY: a.in(3),
			C.HD_DNN_DQ: a.out(), C.HD_DNN_DK: a.out().plus(sizeQ), C.HD_DNN_DV: a.out().plus(sizeQ + sizeK), C.HD_DNN_SUMS: sums,
		})
	}
	// It comes first, but the plan that may be missing is the other one.
	gradients := a.calls
	a.calls = nil
	a.forward(o, stats.pointer)
	a.calls = append(a.calls, gradients...)
}

// together is how many samples' gradients are done at once, by the bytes of their matrices: a divisor of the number of samples.
func (h heads) together(most int64) int {
	const block = 128 // sides are rounded up
	one := 2 * int64(h.heads) * int64(ceil(h.queries, block)*block) * int64(ceil(h.keys, block)*block)
	n := int(min(max(most/one, 1), int64(h.samples)))
	for h.samples%n != 0 {
		n--
	}
	return n
}

// algorithm names the engines.
func (a *attender) algorithm() string {
	if len(a.calls) == 0 {
		return ""
	}
	name := fmt.Sprintf("cuDNN engine %d", int(a.calls[0].plan.made.engine))
	if last := a.calls[len(a.calls)-1]; len(a.calls) > 1 {
		name += fmt.Sprintf(", then %d", int(last.plan.made.engine))
		if n := len(a.calls) - 1; n > 1 {
			name += fmt.Sprintf(" in %d parts", n)
		}
	}
	return name
}
