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

// convolution is a kernel that cuDNN computes, between launches of our own. A run that has an operand at an odd address takes own instead:
// views at odd places, which networks don't make.
type convolution struct {
	device             *Device
	before, after, own *kernel
	call               dnnCall
	scratch            int64 // of our launches, in bytes; behind it lies cuDNN's
	algorithm          string
}

// Workspace is the scratch memory in bytes.
func (k *convolution) Workspace() int64 {
	n := k.scratch + int64(k.call.plan.made.workspace)
	if k.call.plan.made.workspace > 0 {
		n += 256 // for aligned
	}
	return max(n, k.own.Workspace())
}

// Algorithm names cuDNN's engine and what else is launched.
func (k *convolution) Algorithm() string { return k.algorithm }

// Unread lists the inputs that the kernel holds a copy of.
func (k *convolution) Unread() []int { return k.before.Unread() }

// Close gives the plan back.
func (k *convolution) Close() error {
	if k.call.plan == nil {
		return nil
	}
	err := errors.Join(k.call.close(k.device), k.before.Close(), k.after.Close(), k.own.Close())
	k.call.plan = nil
	return err
}

func (k *convolution) enqueue(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	at := func(p pointer) unsafe.Pointer { return p.at(out, in, workspace) }
	// What is in the workspace is aligned.
	if !k.call.aligned(at) {
		return k.own.enqueue(out, in, workspace)
	}
	if err := k.before.enqueue(out, in, workspace); err != nil {
		return err
	}
	var rest unsafe.Pointer
	if k.call.plan.made.workspace > 0 {
		rest = aligned(unsafe.Add(workspace, k.scratch))
	}
	if err := k.call.enqueue(k.device, at, rest); err != nil {
		return fmt.Errorf("%s: %w", k.device.Name(), err)
	}
	return k.after.enqueue(out, in, workspace)
}

// convolve compiles a convolution for cuDNN. It returns nil for what is none; an error says why cuDNN can't do it, so that our own kernel has
// to.
func (d *Device) convolve(r device.Request) (*convolution, error) {
	g, ok := geometryOf(r.Spec)
	if !ok {
		return nil, nil
	}
	// A product of matrices is cuBLASLt's.
	s, forward := r.Spec.(op.Conv2D)
	if pixelwise(g) && (!forward || s.ResizeH == 0) && d.lt.handle != nil {
		return nil, nil
	}
	// For the gradient of the U-Net's last layer, 4 channels to 320, it has an engine that takes 11 ms for 16 images, and our own kernel 0.3.
	if _, gradient := r.Spec.(op.ConvDataGrad); gradient && channels(r.In[0]) < 8 {
		return nil, errors.New("the output has fewer than 8 channels")
	}
	if d.dnn.library == nil {
		return nil, d.dnn.missing
	}
	for _, o := range append([]device.Operand{r.Out}, r.In...) {
		if size(o) > math.MaxInt32 {
			return nil, fmt.Errorf("an operand of %v: want at most %d elements", o.Shape, math.MaxInt32)
		}
	}
	c := &convolver{builder: builder{device: d, request: r}, own: builder{device: d, request: r}, exact: r.Features != device.BFloat16}
	switch s := r.Spec.(type) {
	case op.Conv2D:
		c.forward(s)
	case op.ConvDataGrad:
		c.dataGrad(s)
	}
	if c.err == nil && c.plan == nil {
		c.err = c.why
	}
	if c.err != nil {
		return nil, errors.Join(c.err, c.give())
	}
	return c.kernel()
}

// geometryOf is that of a convolution or of its gradient with respect to the image. That of the weight is patched's.
func geometryOf(s op.Spec) (g op.Geometry, ok bool) {
	switch s := s.(type) {
	case op.Conv2D:
		return s.Geometry, true
	case op.ConvDataGrad:
		return s.Geometry, true
	}
	return g, false
}

// convolver makes a kernel: the builder collects what comes before cuDNN's part.
type convolver struct {
	builder
	exact   bool // products of float32 are to be float32's, as in programs that are float32 throughout
	plan    *plan
	why     error // why there is none
	tensors [C.HD_DNN_TENSORS]pointer
	after   []launch
	own     builder // of our own kernel
}

// geometry describes a convolution over images of n×h×w×c to n×oh×ow×k.
func geometry(kind C.int32_t, g op.Geometry, n, h, w, c, k int, io device.DType, out device.DType) C.hd_dnn_convolution {
	oh, ow := g.Out(h, w)
	i := func(v int) C.int32_t { return C.int32_t(v) }
	return C.hd_dnn_convolution{
		kind: kind, n: i(n), h: i(h), w: i(w), c: i(c), oh: i(oh), ow: i(ow), k: i(k), kh: i(g.KH), kw: i(g.KW), stride: i(g.Stride),
		top: i(g.Pad.Top), left: i(g.Pad.Left), bottom: i(g.Pad.Bottom), right: i(g.Pad.Right),
		io: dataType(io), out: dataType(out), act: C.DNN_POINTWISE_IDENTITY,
	}
}

func (c *convolver) forward(s op.Conv2D) {
	r := c.request
	x := r.In[0].Shape
	h, w := s.Source(x)
	from, image := r.In[0].DType, c.in(0)
	if h != x[1] || w != x[2] {
		// What is written anew may as well be what tensor cores want most.
		if from = r.Features; from != device.BFloat16 {
			from = device.Float32
		}
		image = c.scratchOf(x[0]*h*w*x[3], from)
		resized := device.Operand{Shape: []int{x[0], h, w, x[3]}, DType: from}
		c.resizeTo("upsample", r.In[0], resized, c.in(0), image, size(resized))
	}
	k := channels(r.Out)
	g := geometry(C.HD_DNN_FORWARD, s.Geometry, x[0], h, w, x[3], k, from, r.Out.DType)
	weight := c.weight(from)
	c.tensors[C.HD_DNN_X], c.tensors[C.HD_DNN_W] = image.pointer, weight.pointer
	if c.product(g, C.HD_DNN_Y, s.Bias, s.Residual, s.Act); weight.from == fixed {
		c.unread = []int{1}
		c.own.conv(s, byColumns(weight, size(r.In[1])/k))
	}
}

func (c *convolver) dataGrad(s op.ConvDataGrad) {
	r := c.request
	from := r.In[0].DType
	g := geometry(C.HD_DNN_DATA_GRAD, s.Geometry, samples(r.Out), s.H, s.W, channels(r.Out), channels(r.In[0]), from, r.Out.DType)
	c.tensors[C.HD_DNN_Y] = c.in(0).pointer
	c.tensors[C.HD_DNN_W] = c.weight(from).pointer
	c.product(g, C.HD_DNN_X, false, s.Residual, op.NoAct)
}

// weight is input 1, [KH,KW,I,O], as cuDNN wants it: [O,KH,KW,I] of the element type that it is multiplied with, made once if it is constant,
// else in each run.
func (c *convolver) weight(as device.DType) value {
	o := c.request.In[1]
	n, k := channels(o), size(o)/channels(o)
	if o.Const == nil || o.Identity == nil || c.request.LowMemory {
		to := c.scratchOf(size(o), as)
		c.transpose(c.in(1), to, k, n)
		return to
	}
	bf16 := as == device.BFloat16
	return value{c.copied(1, "[O,KH,KW,I] "+as.String(), int64(size(o))*as.Size(), func(b *builder, to pointer) {
		b.transpose(b.in(1), value{to, bf16}, k, n)
	}), bf16}
}

// transpose launches what makes y [cols,rows] of x [rows,cols].
func (b *builder) transpose(x, y value, rows, cols int) {
	b.launch("transpose", [3]int{ceil(cols, edge), ceil(rows, edge), 1}, threads, x, y, rows, cols)
}

// edge is EDGE of kernels/convolution.cu.
const edge = 32

// scratchOf takes n elements from the workspace.
func (b *builder) scratchOf(n int, t device.DType) value {
	if t == device.BFloat16 {
		return b.halves(n)
	}
	return b.scratch(n)
}

// fused is what cuDNN adds to a product as we define it. Its GELU would do too, but no network has one there.
var fused = map[op.Act]C.int32_t{op.NoAct: C.DNN_POINTWISE_IDENTITY, op.SiLU: C.DNN_POINTWISE_SWISH_FWD, op.ReLU: C.DNN_POINTWISE_RELU_FWD}

// product finds a plan for g, whose result is tensor y, with what follows it: all of it in one, else the product alone and a launch of ours.
func (c *convolver) product(g C.hd_dnn_convolution, y int, bias, residual bool, act op.Act) {
	n := c.request.Out
	last := len(c.request.In) - 1
	if mode, ok := fused[act]; ok {
		all := g
		all.bias, all.residual, all.act = C.int32_t(flag(bias)), C.int32_t(flag(residual)), mode
		if c.find(all) {
			c.tensors[y] = c.out().pointer
			c.tensors[C.HD_DNN_BIAS] = c.optional(2, bias).pointer
			c.tensors[C.HD_DNN_RESIDUAL] = c.optional(last, residual).pointer
			c.algorithm = c.engine()
			return
		}
		if !bias && !residual && act == op.NoAct {
			return
		}
	}
	whole := c.scratchOf(size(n), device.Float32)
	if g.out = C.DNN_DATA_FLOAT; !c.find(g) {
		// Where there is no compiler there are ready kernels, of one element type.
		if whole.bf16 = true; g.io != C.DNN_DATA_BFLOAT16 {
			return
		}
		if g.out = g.io; !c.find(g) {
			return
		}
	}
	c.tensors[y] = whole.pointer
	c.behind(func(b *builder) {
		b.each("finish", size(n), whole, b.optional(2, bias).pointer, b.optional(last, residual), b.out(), size(n), channels(n), act)
	})
	c.algorithm = c.engine() + ", own finish"
}

// engine names what the plan runs.
func (c *convolver) engine() string { return fmt.Sprintf("cuDNN engine %d", int(c.plan.made.engine)) }

// find looks for a plan; why there is none is kept.
func (c *convolver) find(g C.hd_dnn_convolution) bool {
	if c.err != nil {
		return false
	}
	g.exact = C.int32_t(flag(c.exact && g.io == C.DNN_DATA_FLOAT))
	p, err := c.device.dnn.plan(c.device, g)
	if err != nil {
		if c.why == nil {
			c.why = err
		}
		return false
	}
	c.plan = p
	return true
}

// behind collects what comes after cuDNN's part.
func (c *convolver) behind(add func(*builder)) {
	b := builder{device: c.device, request: c.request}
	add(&b)
	c.after = b.launches
	if c.err == nil {
		c.err = b.err
	}
}

// give gives back what a kernel that isn't made would have held.
func (c *convolver) give() error {
	err := errors.Join(c.builder.close(), c.own.close())
	if c.plan != nil {
		err = errors.Join(err, c.device.dnn.release(c.device, c.plan))
	}
	return err
}

func (c *convolver) kernel() (*convolution, error) {
	if len(c.own.launches) == 0 {
		matmul(&c.own)
	}
	if c.own.err != nil {
		return nil, errors.Join(c.own.err, c.give())
	}
	d := c.device
	k := &convolution{
		device: d, algorithm: c.algorithm, scratch: c.workspace,
		before: c.builder.kernel(), after: &kernel{device: d, launches: c.after}, own: c.own.kernel(),
	}
	k.call.plan, k.call.tensors = c.plan, c.tensors
	return k, nil
}
