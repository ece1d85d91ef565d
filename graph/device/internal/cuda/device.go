//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"sync"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/nvlib"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/ops"
)

// ErrNoDriver is the error where NVIDIA's driver is missing, too old or finds no GPU.
var ErrNoDriver = driver.ErrNoDriver

// ErrNoLibrary is the error where one of NVIDIA's libraries is missing or can't be used.
var ErrNoLibrary = nvlib.ErrNoLibrary

// Device computes on one GPU. All its work goes through one stream, in the order of the calls.
type Device struct {
	ordinal int
	version int // of CUDA, that the driver knows
	stream  *driver.Stream
	ops     ops.GPU
	fault   *fault

	pool      pool
	constants device.Constants
	busy      busy // guarded by ops.Order

	copying sync.Mutex // guards stages and turn; taken before ops.Order
	stages  [stages]stage
	turn    int

	closed bool // guarded by pool.mu
}

var (
	_ device.Recorder  = (*Device)(nil)
	_ device.Sharer    = (*Device)(nil)
	_ device.Describer = (*Device)(nil)
	_ device.Timer     = (*Device)(nil)
)

var errClosed = errors.New("cuda: the device is closed")

// minMajor is the compute capability that the kernels are compiled for: Ampere.
const minMajor = 8

// New opens a GPU by its number, counted as nvidia-smi does, except for CUDA_VISIBLE_DEVICES: its driver and a context.
func New(ordinal int) (*Device, error) { return open(ordinal, ops.Limits{}) }

func open(ordinal int, limits ops.Limits) (*Device, error) {
	version, err := driver.Open("")
	if err != nil {
		return nil, err
	}
	n, err := driver.Count()
	if err != nil {
		return nil, err
	}
	if ordinal < 0 || ordinal >= n {
		return nil, fmt.Errorf("cuda:%d: there are %d GPUs, counted from 0", ordinal, n)
	}
	d := &Device{ordinal: ordinal, version: version}
	d.pool.live, d.pool.kept = map[device.Pointer]int64{}, map[int64][]device.Pointer{}
	d.ops.Name, d.ops.Memory, d.ops.Limits = d.Name(), d, limits
	if err := d.begin(); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name(), err)
	}
	return d, nil
}

// begin creates the device's resources.
func (d *Device) begin() error {
	gpu, err := driver.Get(d.ordinal)
	if err != nil {
		return err
	}
	major, _, err := gpu.Capability()
	if err != nil {
		return err
	}
	if major < minMajor {
		return fmt.Errorf("a GPU of compute capability %d.x: want %d.0 (Ampere) or newer", major, minMajor)
	}
	if d.ops.Multiprocessors, err = gpu.Multiprocessors(); err != nil {
		return err
	}
	if d.stream, err = gpu.NewStream(); err != nil {
		return err
	}
	d.ops.Stream = d.stream
	err = d.stream.Within(func() error {
		if err := errors.Join(d.makeStages(), d.busy.make()); err != nil {
			return err
		}
		p, err := driver.AllocPinned(64)
		if err != nil {
			return err
		}
		d.fault, d.ops.Fault = (*fault)(p), p
		*d.fault = fault{}
		return d.ops.Begin(d.version)
	})
	if err != nil {
		return errors.Join(err, d.stream.Close())
	}
	return nil
}

func (d *Device) Name() string { return fmt.Sprintf("cuda:%d", d.ordinal) }

// Has is true for float32, bfloat16 and int32. Sums are in float32.
func (d *Device) Has(t device.DType) bool      { return t != device.Float64 }
func (d *Device) HostMemory() bool             { return false }
func (d *Device) Constants() *device.Constants { return &d.constants }

// Close releases the GPU. Closing twice is no error.
func (d *Device) Close() error {
	d.pool.mu.Lock()
	defer d.pool.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	err := d.stream.Within(func() error {
		return errors.Join(d.stream.Synchronize(), d.ops.Close(), d.pool.release(), d.freeStages(), d.busy.close(),
			driver.FreePinned(device.Pointer(d.fault)))
	})
	err = errors.Join(driver.IgnoreIfLost(err), driver.IgnoreIfLost(d.stream.Close()))
	if n := d.pool.allocated; n != 0 {
		err = errors.Join(err, fmt.Errorf("%s: closed with %d bytes allocated", d.Name(), n))
	}
	return err
}

func (d *Device) Compile(r device.Request) (device.Kernel, error) {
	for _, o := range append(append([]device.Operand(nil), r.In...), r.Out) {
		if !d.Has(o.DType) {
			return nil, device.Unsupported(d.Name(), r)
		}
	}
	k, err := d.ops.Compile(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name(), err)
	}
	if k == nil {
		return nil, device.Unsupported(d.Name(), r)
	}
	return k, nil
}

// fault is a kernel's report, in host memory that the GPU reaches: Fault of arrange.cu.
type fault struct{ set, id, at, limit int32 }

// Synchronize waits until all kernels have finished, and returns the error that they reported.
func (d *Device) Synchronize() error {
	d.ops.Order.Lock()
	err := d.stream.Within(func() error {
		if err := d.stream.Synchronize(); err != nil {
			return err
		}
		return d.busy.add()
	})
	d.ops.Order.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", d.Name(), err)
	}
	if f := *d.fault; f.set != 0 {
		*d.fault = fault{}
		return fmt.Errorf("%s: id %d at %d: want one in [0,%d)", d.Name(), f.id, f.at, f.limit)
	}
	return nil
}
