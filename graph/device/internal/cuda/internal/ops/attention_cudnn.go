//go:build gpu

package ops

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/cudnn"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

const (
	// leastScores is the minimum queries × keys for which cuDNN computes attention: a plan takes half a second to make,
	// and few scores leave nothing to gain.
	leastScores = 1 << 18
	// leastGradScores is the same for its gradients, up to mostGradScores. On an H100, 8 samples of 8 heads: 1024×1024
	// 288 µs, ours 408; 4096×4096 3.38 ms, ours 3.34, without a matrix of scores; 4096×77 216 µs, ours 199.
	leastGradScores = 1 << 20
	mostGradScores  = 1 << 22
)

// libraryAttention is an attention of bfloat16 that cuDNN computes, or its gradients.
type libraryAttention struct {
	gpu       *GPU
	calls     []planned // in order
	own       *launch.Kernel
	scratch   int64 // what the calls hand to each other, in bytes; cuDNN's workspace follows it
	algorithm string
}

func (k *libraryAttention) Workspace() int64 {
	var most int64
	for _, c := range k.calls {
		most = max(most, c.Plan.Workspace())
	}
	return max(k.scratch+most+launch.Alignment, k.own.Workspace())
}

func (k *libraryAttention) Algorithm() string { return k.algorithm }

func (k *libraryAttention) Close() error {
	var errs []error
	for _, c := range k.calls {
		errs = append(errs, c.Close())
	}
	k.calls = nil
	return errors.Join(append(errs, k.own.Close())...)
}

// Enqueue queues the work.
func (k *libraryAttention) Enqueue(a *launch.Addresses) error {
	for i := range k.calls {
		if !k.calls[i].aligned(a) {
			return k.own.Enqueue(a)
		}
	}
	rest := launch.Align(unsafe.Add(a.Workspace, k.scratch))
	for i := range k.calls {
		if err := k.calls[i].enqueue(a, rest); err != nil {
			return fmt.Errorf("%s: %w", k.gpu.Name, err)
		}
	}
	return nil
}

// attend compiles an attention for cuDNN. It returns nil, nil unless r is an attention that is better done so; an
// error says why cuDNN can't do it.
func (g *GPU) attend(r device.Request) (*libraryAttention, error) {
	b := g.builder(r)
	var s op.Attention
	least, most, grad := leastScores, math.MaxInt, false
	switch v := r.Spec.(type) {
	case op.Attention:
		s = v
	case op.AttentionGrad:
		s, least, most, grad = op.Attention(v), leastGradScores, mostGradScores, true
	default:
		return nil, nil
	}
	wanted := g.Limits.Scores
	if wanted != 0 {
		least, most = wanted, math.MaxInt
	}
	h := b.heads(s)
	scores := h.queries * h.keys
	// No network has a causal attention that is large.
	if wanted < 0 || scores < least || scores > most || h.causal || h.d%8 != 0 || !b.flashes(h) {
		return nil, nil
	}
	if _, err := g.dnn.File(); err != nil {
		return nil, nil
	}
	own := g.builder(r)
	a := &attender{builder: b, heads: h}
	if grad {
		own.flashGrad(h)
		a.grad()
	} else {
		own.flash(h)
		a.forward(b.Out(), launch.Pointer{})
	}
	if a.Err == nil {
		a.Err = own.Err
	}
	k := &libraryAttention{
		gpu: g, calls: a.calls, own: own.kernel(), scratch: launch.RoundUp(b.Workspace()), algorithm: a.engines(),
	}
	if a.Err != nil {
		return nil, errors.Join(a.Err, k.Close())
	}
	return k, nil
}

// attender collects the calls of an attention.
type attender struct {
	*builder // its Err is why there is no plan
	heads    heads
	calls    []planned
}

// call adds a call of a plan for n samples from first on.
func (a *attender) call(n, first int, c cudnn.Attention, operands map[int]launch.Value) {
	if a.Err != nil {
		return
	}
	h := a.heads
	c.Samples, c.Heads, c.Queries, c.Keys, c.D, c.Scale = n, h.heads, h.queries, h.keys, h.d, h.scale()
	p, err := a.gpu.dnn.Plan(c)
	if err != nil {
		a.Err = err
		return
	}
	call := planned{Call: a.gpu.dnn.Call(p)}
	for i, v := range operands {
		if v.IsNil() {
			continue
		}
		row := h.heads * h.d
		elements := first * row // of one position
		switch i {
		case cudnn.K, cudnn.V, cudnn.DK, cudnn.DV:
			elements *= h.keys
		case cudnn.Stats, cudnn.Sums:
			elements = first * h.heads * h.queries
		default:
			elements *= h.queries
		}
		call.tensors[i] = v.Plus(elements).Pointer
	}
	call.tensors[cudnn.Scale] = launch.Fixed(p.Scale())
	if c.Gradient {
		call.tensors[cudnn.One] = launch.Fixed(p.One())
	}
	a.calls = append(a.calls, call)
}

// forward adds the attention itself, with its statistics if they have a place.
func (a *attender) forward(o launch.Value, stats launch.Pointer) {
	a.call(a.heads.samples, 0, cudnn.Attention{Stats: !stats.IsNil()}, map[int]launch.Value{
		cudnn.Q: a.In(0), cudnn.K: a.In(1), cudnn.V: a.In(2), cudnn.O: o, cudnn.Stats: {Pointer: stats},
	})
}

// grad adds the attention once more, and its gradients.
func (a *attender) grad() {
	h := a.heads
	sizeQ, sizeK := size(a.Request.In[0]), size(a.Request.In[1])
	o, stats, sums := a.Halves(sizeQ), a.Scratch(h.count()*h.queries), a.Scratch(h.count()*h.queries)
	n := h.together(a.gpu.matrix)
	for first := 0; first < h.samples; first += n {
		a.call(n, first, cudnn.Attention{Gradient: true}, map[int]launch.Value{
			cudnn.Q: a.In(0), cudnn.K: a.In(1), cudnn.V: a.In(2), cudnn.O: o, cudnn.Stats: stats, cudnn.DY: a.In(3),
			cudnn.DQ: a.Out(), cudnn.DK: a.Out().Plus(sizeQ), cudnn.DV: a.Out().Plus(sizeQ + sizeK), cudnn.Sums: sums,
		})
	}
	// It comes first, but the plan that may be missing is the other one.
	gradients := a.calls
	a.calls = nil
	a.forward(o, stats.Pointer)
	a.calls = append(a.calls, gradients...)
}

// together is how many samples' gradients are done at once, by the bytes of their matrices: a divisor of the number
// of samples.
func (h heads) together(most int64) int {
	const block = 128 // sides are rounded up
	one := 2 * int64(h.heads) * int64(ceil(h.queries, block)*block) * int64(ceil(h.keys, block)*block)
	n := int(min(max(most/one, 1), int64(h.samples)))
	for h.samples%n != 0 {
		n--
	}
	return n
}

// engines names what the plans run.
func (a *attender) engines() string {
	if len(a.calls) == 0 {
		return ""
	}
	name := fmt.Sprintf("cuDNN engine %d", a.calls[0].Plan.Engine())
	if last := a.calls[len(a.calls)-1]; len(a.calls) > 1 {
		name += fmt.Sprintf(", then %d", last.Plan.Engine())
		if n := len(a.calls) - 1; n > 1 {
			name += fmt.Sprintf(" in %d parts", n)
		}
	}
	return name
}
