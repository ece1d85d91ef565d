//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"sync"

	"gorgonia.org/cu"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/cuda/internal/nvlib"
)

// Options choose a GPU; the zero value is the first one.
type Options struct {
	Ordinal int    // as nvidia-smi counts, but for CUDA_VISIBLE_DEVICES
	Driver  string // the driver's library; "" is NVIDIA's
	// Probabilities is the most that attention may take for its matrix of probabilities, in bytes; 0 is 128 MiB. Where it is not
	// enough, some queries are done after the others. For gradients by cuDNN, whose matrix is that of the scores' gradients, 0 is 512 MiB, and
	// some samples are done after the others.
	Probabilities int64
	// Patches is the same for what convolutions' kernels see, where a convolution is a product of matrices; 0 is 256 MiB, and less leaves all
	// convolutions, but not their weights' gradients, to cuDNN.
	Patches int64
	// Scores is from how many scores, queries × keys, on an attention of bfloat16 or its gradients are cuDNN's, where it has a plan; 0 is
	// 1<<18, and less leaves all of them to the package's own kernels.
	Scores int
	// Implicit has the package's own kernels for tensor cores do those convolutions of bfloat16 programs that they can, even where there is cuDNN.
	Implicit bool
}

// Device computes on one GPU. All its work goes through one stream, in the order of the calls.
type Device struct {
	ordinal         int
	version         int
	multiprocessors int
	implicit        bool // Options.Implicit
	scores          int  // Options.Scores
	probabilities   int64
	matrix          int64 // Options.Probabilities for cuDNN
	patches         int64
	gpu             cu.Device
	context         cu.CUContext
	stream          cu.Stream
	modules         modules
	fault           *fault
	pool            pool
	constants       device.Constants
	lt              lt
	copies          device.Shared[copyKey]
	dnn             dnn

	busy    busy       // guarded by order
	order   sync.Mutex // held by what puts work into the stream, and by a recording until it is done
	copying sync.Mutex // guards stages and turn; taken before order
	stages  [stages]stage
	turn    int

	closed bool // guarded by pool.mu
}

var (
	_ device.Recorder = (*Device)(nil)
	_ device.Sharer   = (*Device)(nil)
)

var errClosed = errors.New("cuda: the device is closed")

// minMajor is the compute capability that the kernels are compiled for: Ampere.
const minMajor = 8

// New opens a GPU: its driver and a context.
func New(o Options) (*Device, error) {
	version, err := openDriver(o.Driver)
	if err != nil {
		return nil, err
	}
	n, err := cu.NumDevices()
	if err != nil {
		return nil, fmt.Errorf("cuda: %w: %w", ErrNoDriver, explain(err))
	}
	if o.Ordinal < 0 || o.Ordinal >= n {
		return nil, fmt.Errorf("cuda:%d: there are %d GPUs, counted from 0", o.Ordinal, n)
	}
	d := &Device{ordinal: o.Ordinal, version: version, probabilities: o.Probabilities, patches: o.Patches, implicit: o.Implicit, scores: o.Scores}
	if d.matrix = d.probabilities; d.probabilities <= 0 {
		d.probabilities, d.matrix = 128<<20, sdpaMatrix
	}
	if d.patches == 0 {
		d.patches = 256 << 20
	}
	d.pool.live, d.pool.kept = map[device.Pointer]int64{}, map[int64][]cu.DevicePtr{}
	if d.gpu, err = cu.GetDevice(o.Ordinal); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name(), explain(err))
	}
	major, err := d.gpu.Attribute(cu.ComputeCapabilityMajor)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name(), explain(err))
	}
	if major < minMajor {
		return nil, fmt.Errorf("%s: a GPU of compute capability %d.x: want %d.0 (Ampere) or newer", d.Name(), major, minMajor)
	}
	if d.multiprocessors, err = d.gpu.Attribute(cu.MultiprocessorCount); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name(), explain(err))
	}
	if d.context, err = d.gpu.RetainPrimaryCtx(); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name(), explain(err))
	}
	if err := d.within(d.begin); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", d.Name(), err), explain(d.gpu.ReleasePrimaryCtx()))
	}
	return d, nil
}

// begin makes what lives as long as the device.
func (d *Device) begin() (err error) {
	if d.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		return err
	}
	if err = d.modules.read(); err != nil {
		return err
	}
	for i := range d.stages {
		if d.stages[i].memory, err = pinned(stageBytes); err != nil {
			return err
		}
		if d.stages[i].copied, err = cu.MakeEvent(cu.DisableTiming); err != nil {
			return err
		}
	}
	if err := d.busy.make(); err != nil {
		return err
	}
	p, err := pinned(64)
	if err != nil {
		return err
	}
	d.fault = (*fault)(p)
	*d.fault = fault{}
	d.lt.begin(d.version)
	d.dnn.begin(d.version)
	return nil
}

// Name is "cuda:0".
func (d *Device) Name() string { return fmt.Sprintf("cuda:%d", d.ordinal) }

// Has is true for float32, bfloat16 and int32. Sums are in float32.
func (d *Device) Has(t device.DType) bool { return t != device.Float64 }

// HostMemory is false: values are copied.
func (d *Device) HostMemory() bool { return false }

// Constants are the weights that programs share.
func (d *Device) Constants() *device.Constants { return &d.constants }

// Close gives everything back. Closing twice is no error.
func (d *Device) Close() error {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	err := d.within(func() error {
		errs := []error{explain(d.stream.Synchronize()), d.dnn.close(d), d.lt.close(), explain(d.giveBack())}
		for i := range d.stages {
			errs = append(errs, explain(cu.MemFreeHost(d.stages[i].memory)), explain(cu.DestroyEvent(&d.stages[i].copied)))
		}
		errs = append(errs, d.busy.close(), explain(cu.MemFreeHost(device.Pointer(d.fault))), explain(d.stream.Destroy()))
		errs = append(errs, d.modules.unload()...)
		return errors.Join(errs...)
	})
	err = errors.Join(unlessLost(err), unlessLost(explain(d.gpu.ReleasePrimaryCtx())))
	if n := d.pool.allocated; n != 0 {
		err = errors.Join(err, fmt.Errorf("%s: closed with %d bytes allocated", d.Name(), n))
	}
	return err
}

// Compile returns the kernel for a request.
func (d *Device) Compile(r device.Request) (device.Kernel, error) {
	for _, o := range append(append([]device.Operand(nil), r.In...), r.Out) {
		if !d.Has(o.DType) {
			return nil, device.Unsupported(d.Name(), r)
		}
	}
	k, err := d.compile(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name(), err)
	}
	if k == nil {
		return nil, device.Unsupported(d.Name(), r)
	}
	return &ordered{d, k}, nil
}

// compile asks, one after the other, what is best at an operation: products of patches, cuDNN, and the families of launches, whose products are
// cuBLASLt's where it can.
func (d *Device) compile(r device.Request) (queued, error) {
	b := &builder{device: d, request: r}
	if d.implicit && implicit(b) || patched(b) {
		return b.finished()
	}
	convolution, why := d.convolve(r)
	if convolution != nil {
		return convolution, nil
	}
	if why == nil {
		var attention *sdpa
		if attention, why = d.attend(r); attention != nil {
			return attention, nil
		}
	}
	for _, family := range []func(*builder) bool{
		implicit, matmul, attention, norm, elementwise, arrange, reduce, pooling, posterior, optimizer,
	} {
		if family(b) {
			if why != nil && b.algorithm == ownAlgorithm && d.dnn.library != nil {
				b.algorithm = fmt.Sprintf("%s (cuDNN: %v)", ownAlgorithm, why)
			}
			return b.finished()
		}
	}
	return nil, nil
}

// finished is the kernel of what was collected, or what went wrong.
func (b *builder) finished() (queued, error) {
	if b.err != nil {
		return nil, errors.Join(b.err, b.close())
	}
	return b.kernel(), nil
}

// ErrNoLibrary is the error where one of NVIDIA's libraries is missing or can't be used.
var ErrNoLibrary = nvlib.ErrNoLibrary
