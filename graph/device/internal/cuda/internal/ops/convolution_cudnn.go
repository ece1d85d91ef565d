//go:build gpu

package ops

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/cudnn"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/op"
)

// libraryConvolution is a convolution that cuDNN computes, between launches of our own.
type libraryConvolution struct {
	gpu                *GPU
	before, after, own *launch.Kernel
	call               planned
	scratch            int64 // of our launches, in bytes; cuDNN's workspace follows it
	algorithm          string
}

func (k *libraryConvolution) Workspace() int64 {
	n := k.scratch
	if w := k.call.Plan.Workspace(); w > 0 {
		n += w + launch.Alignment
	}
	return max(n, k.own.Workspace())
}

// Algorithm names cuDNN's engine and what else is launched.
func (k *libraryConvolution) Algorithm() string { return k.algorithm }
func (k *libraryConvolution) Unread() []int     { return k.before.Unread() }

func (k *libraryConvolution) Close() error {
	if k.call.Call == nil {
		return nil
	}
	err := errors.Join(k.call.Close(), k.before.Close(), k.after.Close(), k.own.Close())
	k.call.Call = nil
	return err
}

// Enqueue queues the work.
func (k *libraryConvolution) Enqueue(a *launch.Addresses) error {
	// What is in the workspace is aligned.
	if !k.call.aligned(a) {
		return k.own.Enqueue(a)
	}
	if err := k.before.Enqueue(a); err != nil {
		return err
	}
	var rest unsafe.Pointer
	if k.call.Plan.Workspace() > 0 {
		rest = launch.Align(unsafe.Add(a.Workspace, k.scratch))
	}
	if err := k.call.enqueue(a, rest); err != nil {
		return fmt.Errorf("%s: %w", k.gpu.Name, err)
	}
	return k.after.Enqueue(a)
}

// convolve compiles a convolution for cuDNN. It returns nil, nil unless r is a convolution; an error says why cuDNN
// can't run it, so that our own kernel has to.
func (g *GPU) convolve(r device.Request) (*libraryConvolution, error) {
	geometry, ok := geometryOf(r.Spec)
	if !ok {
		return nil, nil
	}
	// A product of matrices is cuBLASLt's.
	s, forward := r.Spec.(op.Conv2D)
	if pixelwise(geometry) && (!forward || s.ResizeH == 0) && g.lt != nil {
		return nil, nil
	}
	// For the gradient of the U-Net's last layer, 4 channels to 320, it has an engine that takes 11 ms for 16 images;
	// our own kernel takes 0.3.
	if _, gradient := r.Spec.(op.ConvDataGrad); gradient && channels(r.In[0]) < 8 {
		return nil, errors.New("the output has fewer than 8 channels")
	}
	if _, err := g.dnn.File(); err != nil {
		return nil, err
	}
	for _, o := range append([]device.Operand{r.Out}, r.In...) {
		if size(o) > math.MaxInt32 {
			return nil, fmt.Errorf("an operand of %v: want at most %d elements", o.Shape, math.MaxInt32)
		}
	}
	c := &convolver{builder: g.builder(r), after: g.builder(r), own: g.builder(r), exact: r.Features != device.BFloat16}
	switch s := r.Spec.(type) {
	case op.Conv2D:
		c.forward(s)
	case op.ConvDataGrad:
		c.dataGrad(s)
	}
	if c.Err == nil && c.plan == nil {
		c.Err = c.why
	}
	if c.Err != nil {
		return nil, errors.Join(c.Err, c.discard())
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
	*builder
	after   *builder // what comes after it
	own     *builder // our own kernel
	exact   bool     // products of float32 are to be float32's, as in programs that are float32 throughout
	plan    *cudnn.Plan
	why     error // why there is none
	tensors tensors
}

// convolutionOf describes a convolution over images of n×h×w×c to k channels.
func convolutionOf(g op.Geometry, n, h, w, c, k int) cudnn.Convolution {
	oh, ow := g.Out(h, w)
	return cudnn.Convolution{
		N: n, H: h, W: w, C: c, OH: oh, OW: ow, K: k, KH: g.KH, KW: g.KW, Stride: g.Stride,
		Top: g.Pad.Top, Left: g.Pad.Left, Bottom: g.Pad.Bottom, Right: g.Pad.Right, Act: cudnn.Identity,
	}
}

func (c *convolver) forward(s op.Conv2D) {
	r := c.Request
	x := r.In[0].Shape
	h, w := s.Source(x)
	from, image := r.In[0].DType, c.In(0)
	if h != x[1] || w != x[2] {
		// The resized image is written out: in the type that suits tensor cores best.
		if from = r.Features; from != device.BFloat16 {
			from = device.Float32
		}
		image = c.ScratchOf(x[0]*h*w*x[3], from)
		resized := device.Operand{Shape: []int{x[0], h, w, x[3]}, DType: from}
		c.resizeTo("upsample", r.In[0], resized, c.In(0), image, size(resized))
	}
	k := channels(r.Out)
	wanted := convolutionOf(s.Geometry, x[0], h, w, x[3], k)
	wanted.FactorsBF16, wanted.ResultBF16 = from == device.BFloat16, r.Out.DType == device.BFloat16
	weight := c.weight(from)
	c.tensors[cudnn.X], c.tensors[cudnn.W] = image.Pointer, weight.Pointer
	if c.convolution(wanted, cudnn.Y, s.Bias, s.Residual, s.Act); weight.IsFixed() {
		c.Unread = []int{1}
		c.own.conv(s, byColumns(weight, size(r.In[1])/k))
	}
}

func (c *convolver) dataGrad(s op.ConvDataGrad) {
	r := c.Request
	from := r.In[0].DType
	wanted := convolutionOf(s.Geometry, samples(r.Out), s.H, s.W, channels(r.Out), channels(r.In[0]))
	wanted.Gradient = true
	wanted.FactorsBF16, wanted.ResultBF16 = from == device.BFloat16, r.Out.DType == device.BFloat16
	c.tensors[cudnn.Y] = c.In(0).Pointer
	c.tensors[cudnn.W] = c.weight(from).Pointer
	c.convolution(wanted, cudnn.X, false, s.Residual, op.NoAct)
}

// weight is input 1, [KH,KW,I,O], as cuDNN wants it: [O,KH,KW,I] of the element type that it is multiplied with, made
// once if it is constant, else in each run.
func (c *convolver) weight(as device.DType) launch.Value {
	o := c.Request.In[1]
	n, k := channels(o), size(o)/channels(o)
	if !c.copies(1) {
		to := c.ScratchOf(size(o), as)
		c.transpose(c.In(1), to, k, n)
		return to
	}
	bf16 := as == device.BFloat16
	layout := "[O,KH,KW,I] " + as.String()
	return launch.Value{Pointer: c.copied(1, layout, int64(size(o))*as.Size(), func(b *builder, to launch.Pointer) {
		b.transpose(b.In(1), launch.Value{Pointer: to, BF16: bf16}, k, n)
	}), BF16: bf16}
}

// transpose launches what makes y [cols,rows] of x [rows,cols].
func (b *builder) transpose(x, y launch.Value, rows, cols int) {
	b.Launch("transpose", [3]int{ceil(cols, kernels.Edge), ceil(rows, kernels.Edge), 1}, kernels.Threads, x, y, rows, cols)
}

// fused are the activations that cuDNN adds to a convolution.
var fused = map[op.Act]cudnn.Activation{op.NoAct: cudnn.Identity, op.SiLU: cudnn.Swish, op.ReLU: cudnn.ReLU}

// convolution finds a plan for g, whose result is tensor y, with what follows it: all of it in one, else the
// convolution alone and a launch of ours.
func (c *convolver) convolution(g cudnn.Convolution, y int, bias, residual bool, act op.Act) {
	n := c.Request.Out
	last := len(c.Request.In) - 1
	if mode, ok := fused[act]; ok {
		all := g
		all.Bias, all.Residual, all.Act = bias, residual, mode
		if c.find(all) {
			c.tensors[y] = c.Out().Pointer
			c.tensors[cudnn.Bias] = c.Optional(2, bias).Pointer
			c.tensors[cudnn.Residual] = c.Optional(last, residual).Pointer
			c.Algorithm = c.engine()
			return
		}
		if !bias && !residual && act == op.NoAct {
			return
		}
	}
	whole := c.Scratch(size(n))
	if g.ResultBF16 = false; !c.find(g) {
		// Where there is no compiler there are ready kernels, of one element type.
		if whole.BF16 = true; !g.FactorsBF16 {
			return
		}
		if g.ResultBF16 = true; !c.find(g) {
			return
		}
	}
	c.tensors[y] = whole.Pointer
	c.after.Each("finish", size(n),
		whole, c.Optional(2, bias).Pointer, c.Optional(last, residual), c.Out(), size(n), channels(n), act)
	if c.Err == nil {
		c.Err = c.after.Err
	}
	c.Algorithm = c.engine() + ", own finish"
}

// engine names what the plan runs.
func (c *convolver) engine() string { return fmt.Sprintf("cuDNN engine %d", c.plan.Engine()) }

// find looks for a plan; why there is none is kept.
func (c *convolver) find(g cudnn.Convolution) bool {
	if c.Err != nil {
		return false
	}
	g.Exact = c.exact && !g.FactorsBF16
	p, err := c.gpu.dnn.Plan(g)
	if err != nil {
		if c.why == nil {
			c.why = err
		}
		return false
	}
	c.plan = p
	return true
}

// discard frees what a kernel that isn't made would have held.
func (c *convolver) discard() error {
	err := errors.Join(c.close(), c.own.close())
	if c.plan != nil {
		err = errors.Join(err, c.gpu.dnn.Release(c.plan))
	}
	return err
}

func (c *convolver) kernel() (*libraryConvolution, error) {
	if c.own.Empty() {
		matmul(c.own)
	}
	if c.own.Err != nil {
		return nil, errors.Join(c.own.Err, c.discard())
	}
	return &libraryConvolution{
		gpu: c.gpu, algorithm: c.Algorithm, scratch: c.Workspace(),
		before: c.builder.kernel(), after: c.after.kernel(), own: c.own.kernel(),
		call: planned{Call: c.gpu.dnn.Call(c.plan), tensors: c.tensors},
	}, nil
}
