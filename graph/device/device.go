package device

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/op"
)

// DType is an element type in a device's memory.
type DType uint8

// The element types.
const (
	Float32 DType = iota
	BFloat16
	Float64
	Int32
)

func (d DType) Size() int64    { return [...]int64{4, 2, 8, 4}[d] }
func (d DType) String() string { return [...]string{"float32", "bfloat16", "float64", "int32"}[d] }

// Pointer is an address in a device's memory.
type Pointer = unsafe.Pointer

// Operand describes an input or the output of a kernel.
type Operand struct {
	Shape tensor.Shape
	DType DType
	// Const is the value's address when its bytes stay as they are for as long as the kernel lives, so that the kernel may
	// rearrange them once when it is compiled (see Unreader); nil otherwise.
	Const Pointer
	// Identity distinguishes constants, for kernels that share packed weights: while a kernel lives that was compiled
	// from an Identity, all operands with that Identity have the same bytes. Const doesn't do on a device outside of the
	// process's memory: constants that no kernel reads are freed after compiling, and their addresses are used again.
	// Identity is not to be read; nil without Const.
	Identity Pointer
}

// Bytes is the size of the operand.
func (o Operand) Bytes() int64 { return int64(op.Size(o.Shape)) * o.DType.Size() }

// Request asks for a kernel.
type Request struct {
	Spec op.Spec
	In   []Operand
	Out  Operand
	// LowMemory asks for algorithms that need no packed weights.
	LowMemory bool
	// Features is how the program stores what need not be exact. Where it is BFloat16, products of exact values with
	// weights may be as if their factors had been rounded so.
	Features DType
}

// Kernel computes one operation for given shapes and element types.
type Kernel interface {
	// Workspace is the number of bytes of scratch memory that Run needs.
	Workspace() int64
	// Algorithm names how it computes, for reports; "" where there is one way only.
	Algorithm() string
	// Run computes out from in. Inputs and out are aligned to their elements at least, workspace to 64 bytes. Memory of
	// out overlaps an input only as the operation's InPlace allows. It may return before the device has finished; see
	// Device.Synchronize.
	Run(out Pointer, in []Pointer, workspace Pointer) error
	// Close frees what the kernel holds, such as packed weights.
	Close() error
}

// Unreader is a Kernel that may hold constant inputs rearranged. The device's copy of a constant is freed when none of
// the program's kernels that have it as an input reads it.
type Unreader interface {
	// Unread lists the inputs whose bytes Run doesn't read. It stays the same for as long as the kernel lives.
	Unread() []int
}

// Memory is a stretch of a device's memory.
type Memory struct {
	Ptr   Pointer
	Bytes int64
}

// Device runs kernels. Programs may run on it from several goroutines; their kernels take turns.
type Device interface {
	// Name is the device's name, such as "cpu" or "cuda:0".
	Name() string
	// Has reports whether the device computes in an element type.
	Has(DType) bool
	// HostMemory is true where kernels read and write ordinary memory of the process: then values need no copies.
	HostMemory() bool
	// Alloc returns memory aligned to 64 bytes, filled with zeros.
	Alloc(bytes int64) (Memory, error)
	Free(Memory) error
	// Allocated is the number of bytes that are allocated now, kernels' own memory included.
	Allocated() int64
	// Available is the number of bytes that can still be allocated, as far as the device knows; 0 if it doesn't.
	Available() int64
	// Compile returns a kernel, or an error that wraps ErrUnsupported.
	Compile(Request) (Kernel, error)
	// Upload and Download copy between the process's memory and the device's.
	Upload(dst Pointer, src []byte) error
	Download(dst []byte, src Pointer) error
	// Synchronize waits until all kernels have finished.
	Synchronize() error
	// Close releases the device. All memory must have been freed.
	Close() error
}

// Describer is a Device whose results depend on more than its name says.
type Describer interface {
	Device
	// Fingerprint names all that the bytes of results depend on: the instruction set, or the GPU, its driver and its
	// libraries.
	Fingerprint() string
}

// Threader is a Device that computes with threads of the process; the bytes of results depend on their number.
type Threader interface {
	Device
	Threads() int
}

// Timer is a Device that knows how long its kernels have run.
type Timer interface {
	Device
	// Busy is the time for which kernels have run since the device was opened.
	Busy() time.Duration
}

// Call is a kernel with the addresses it is run on: see Kernel.Run.
type Call struct {
	Kernel    Kernel
	Out       Pointer
	In        []Pointer
	Workspace Pointer
}

// Recorder is a Device that can hand a list of kernels to the machine at once, which costs less than one after the
// other.
type Recorder interface {
	Device
	// Record prepares calls, of kernels of this device, without running them. The addresses must stay valid.
	Record(calls []Call) (Recording, error)
	// Copy copies within the device's memory, in the order of the kernels.
	Copy(dst, src Pointer, bytes int64) error
}

// Recording is a list of kernels.
type Recording interface {
	// Replay runs the kernels, in their order, after all that the device was asked for before. It may return before they
	// have finished.
	Replay() error
	Close() error
}

// Group is several devices, of this process and perhaps of others, that add up what each of them holds. It works beside
// the devices: what it was asked for begins after all that they were asked for before, and need not have ended before
// what they are asked for from then on, up to Join. Every process must ask for the same in the same order.
type Group interface {
	// Size is the number of devices, and Rank that of this process's first; the process's others follow it.
	Size() int
	Rank() int
	// Sum replaces, for each of tensors, what the devices hold by the sum of it, the same bytes on all of them. It may
	// return before the devices have finished.
	Sum(tensors []Parts) error
	// Reduce is Sum, but only the owner of a tensor has the sum; what the others hold is undefined then.
	Reduce(tensors []Parts) error
	// Spread copies each tensor from its owner to all others, as Sum does its sums.
	Spread(tensors []Parts) error
	// Join makes all that the devices are asked for from now on wait for what the group was asked for.
	Join() error
	Close() error
}

// Parts is where this process's devices of a group hold N float32 each, in the order of the devices.
type Parts struct {
	At    []Pointer
	N     int
	Owner int // the number of a device in the group, for Reduce and Spread
}

// ErrUnsupported is the error of a device that has no kernel for an operation.
var ErrUnsupported = errors.New("not supported by this device")

// Unsupported returns ErrUnsupported for a request, saying which operation and element types.
func Unsupported(device string, r Request) error {
	types := make([]DType, len(r.In))
	for i, o := range r.In {
		types[i] = o.DType
	}
	return fmt.Errorf("%s of %v to %v on %s: %w", op.Name(r.Spec), types, r.Out.DType, device, ErrUnsupported)
}

// Slice views n elements at an address of the process's memory.
func Slice[T any](p Pointer, n int) []T { return unsafe.Slice((*T)(p), n) }

// Bytes views numbers of the process's memory as Upload and Download take them.
func Bytes(x []float32) []byte { return Slice[byte](Pointer(unsafe.SliceData(x)), 4*len(x)) }
