//go:build gpu

package ops

import (
	"errors"
	"fmt"
	"sync"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/cublaslt"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/cudnn"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/nvlib"
)

// Limits choose between ways to compute an operation. The zero value is what programs use.
type Limits struct {
	// Probabilities is the most that attention may take for its matrix of probabilities, in bytes; 0 is 128 MiB. Where
	// that is too little, some queries are done after the others. Of cuDNN's matrix of the scores' gradients 0 is
	// cudnn.AttentionMatrix, and some samples are done after the others.
	Probabilities int64
	// Patches limits, in bytes, the im2col buffer of convolutions run as matrix products; 0 is 256 MiB. Below 0 cuDNN
	// does all convolutions, except for their weights' gradients.
	Patches int64
	// Scores is the minimum queries × keys for which cuDNN computes bfloat16 attention and its gradients; 0 is what
	// measured best, and below 0 our own kernels compute all of it.
	Scores int
	// Implicit has our own kernels for tensor cores do the convolutions of bfloat16 programs that they can, even where
	// there is cuDNN.
	Implicit bool
}

// GPU compiles operations.
type GPU struct {
	launch.GPU
	Order           sync.Mutex    // held by what puts work into the stream, and by a recording until it is done
	Memory          device.Device // allocates copies of weights
	Multiprocessors int
	Limits          Limits

	matrix    int64             // Limits.Probabilities for cuDNN
	lt        *cublaslt.Library // nil: there is none
	ltMissing error             // why
	dnn       *cudnn.Library
	copies    device.Shared[copyKey]
}

// Begin indexes the kernels and opens NVIDIA's libraries for a driver that knows CUDA version version. Where there is
// none, our own kernels do the work: see Libraries and the kernels' Algorithm. It must be called within the stream.
func (g *GPU) Begin(version int) error {
	if g.matrix = g.Limits.Probabilities; g.matrix <= 0 {
		g.Limits.Probabilities, g.matrix = 128<<20, cudnn.AttentionMatrix
	}
	if g.Limits.Patches == 0 {
		g.Limits.Patches = 256 << 20
	}
	if err := g.Index(); err != nil {
		return err
	}
	g.lt, g.ltMissing = cublaslt.Open(g.Stream, version)
	g.dnn = cudnn.Open(g.Stream, &g.Order, version)
	return nil
}

// Close undoes Begin. It must be called within the stream.
func (g *GPU) Close() error {
	errs := []error{g.dnn.Close()}
	if g.lt != nil {
		errs = append(errs, g.lt.Close())
	}
	return errors.Join(append(errs, g.Unload()...)...)
}

// Libraries are those that the GPU computes with, and why others are missing.
func (g *GPU) Libraries() (open []*nvlib.Library, missing []error) {
	if g.lt != nil {
		open = append(open, g.lt.File)
	} else {
		missing = append(missing, g.ltMissing)
	}
	if file, err := g.dnn.File(); err == nil {
		open = append(open, file)
	} else {
		missing = append(missing, err)
	}
	return open, missing
}

// Compile returns the kernel for a request; nil where there is none.
func (g *GPU) Compile(r device.Request) (device.Kernel, error) {
	k, err := g.compile(r)
	if k == nil || err != nil {
		return nil, err
	}
	return &ordered{g, k}, nil
}

// compile tries the ways to compute an operation, the best first: products of patches, cuDNN, and the families of
// launches, whose products are cuBLASLt's where it can.
func (g *GPU) compile(r device.Request) (queued, error) {
	b := g.builder(r)
	if g.Limits.Implicit && implicit(b) || patched(b) {
		return b.finished()
	}
	convolution, why := g.convolve(r)
	if convolution != nil {
		return convolution, nil
	}
	if why == nil {
		var attention *libraryAttention
		if attention, why = g.attend(r); attention != nil {
			return attention, nil
		}
	}
	for _, family := range []func(*builder) bool{
		implicit, matmul, attention, norm, elementwise, arrange, reduce, pooling, posterior, optimizer,
	} {
		if family(b) {
			if _, missing := g.dnn.File(); why != nil && b.Algorithm == ownAlgorithm && missing == nil {
				b.Algorithm = fmt.Sprintf("%s (cuDNN: %v)", ownAlgorithm, why)
			}
			return b.finished()
		}
	}
	return nil, nil
}

// builder collects the launches of a kernel.
type builder struct {
	launch.Builder
	gpu      *GPU
	prefix   string // what Algorithm names before the products
	gemms    int    // how many products there are
	products int    // how many of them are cuBLASLt's
}

func (g *GPU) builder(r device.Request) *builder {
	return &builder{Builder: launch.Builder{GPU: &g.GPU, Request: r}, gpu: g}
}

// ownAlgorithm is Kernel.Algorithm of what one of NVIDIA's libraries might have computed and doesn't.
const ownAlgorithm = "own"

// kernel returns the collected launches as a kernel.
func (b *builder) kernel() *launch.Kernel {
	if b.Algorithm == "" && b.gemms > 0 {
		switch b.products {
		case 0:
			b.Algorithm = ownAlgorithm
		case b.gemms:
			b.Algorithm = nvlib.CUBLASLt.Name
		default:
			b.Algorithm = nvlib.CUBLASLt.Name + ", " + ownAlgorithm
		}
		b.Algorithm = b.prefix + b.Algorithm
	}
	return b.Kernel()
}

// close frees the resources of a kernel that isn't made.
func (b *builder) close() error { return b.Kernel().Close() }

// finished is the kernel of the collected launches, or the error.
func (b *builder) finished() (queued, error) {
	if b.Err != nil {
		return nil, errors.Join(b.Err, b.close())
	}
	return b.kernel(), nil
}

// queued is a kernel that puts its work into the stream.
type queued interface {
	Workspace() int64
	Algorithm() string
	Close() error
	Enqueue(*launch.Addresses) error
}

// ordered is a kernel whose work is queued in one piece.
type ordered struct {
	gpu *GPU
	queued
}

// Run returns when the work is queued.
func (k *ordered) Run(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	k.gpu.Order.Lock()
	defer k.gpu.Order.Unlock()
	return k.Enqueue(&launch.Addresses{Out: out, In: in, Workspace: workspace})
}

func (k *ordered) Unread() []int {
	if u, ok := k.queued.(device.Unreader); ok {
		return u.Unread()
	}
	return nil
}

// Enqueue queues calls, those that follow each other and can be one launch as one. Order must be held.
func (g *GPU) Enqueue(calls []device.Call) error {
	for len(calls) > 0 {
		c := calls[0]
		k, ok := c.Kernel.(*ordered)
		if !ok || k.gpu != g {
			return fmt.Errorf("a kernel of another device")
		}
		n, err := g.together(calls)
		if n == 0 && err == nil {
			n, err = 1, k.Enqueue(&launch.Addresses{Out: c.Out, In: c.In, Workspace: c.Workspace})
		}
		if err != nil {
			return err
		}
		calls = calls[n:]
	}
	return nil
}
