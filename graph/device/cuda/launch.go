//go:build gpu

package cuda

// #include "driver.h"
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"gorgonia.org/cu"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/cuda/internal/nvlib"
	"github.com/histdist/histdist/graph/op"
)

// kernel is a list of launches that compute an operation.
type kernel struct {
	device    *Device
	spec      op.Spec
	elements  int // of the output
	algorithm string
	workspace int64
	shared    int64 // where the part of the workspace begins that cuBLASLt's products take in turn
	launches  []launch
	products  []*product
	held      []*device.Held[copyKey]
	unread    []int
}

// launch is a call of a function of the GPU: its arguments as the driver wants them, packed, but for the addresses that Run knows.
type launch struct {
	name      string
	function  cu.Function
	grid      [3]int
	block     int
	shared    int // bytes of shared memory beside what the function names
	arguments []byte
	gaps      []gap
	// product is cuBLASLt's, with finish behind it. They take the launch's place where the operands are aligned.
	product *product
	finish  *launch
}

// gap is where an address belongs in the arguments.
type gap struct {
	at      int
	pointer pointer
}

// pointer is an address that is known at Run.
type pointer struct {
	from   source
	input  int
	offset int64 // bytes
	fixed  unsafe.Pointer
}

type source uint8

const (
	nowhere source = iota // nil
	fromOutput
	fromInput
	fromWorkspace
	fixed
)

// at is where a pointer leads in a run.
func (p pointer) at(out device.Pointer, in []device.Pointer, workspace device.Pointer) unsafe.Pointer {
	var base unsafe.Pointer
	switch p.from {
	case nowhere:
		return nil
	case fromOutput:
		base = out
	case fromInput:
		base = in[p.input]
	case fromWorkspace:
		base = workspace
	case fixed:
		base = p.fixed
	}
	return unsafe.Add(base, p.offset)
}

// plus moves a pointer by bytes.
func (p pointer) plus(bytes int64) pointer {
	p.offset += bytes
	return p
}

// value is In or Out of kernels/device.cuh: an address and its element type.
type value struct {
	pointer
	bf16 bool
}

// plus moves by elements.
func (v value) plus(elements int) value {
	size := int64(4)
	if v.bf16 {
		size = 2
	}
	v.offset += int64(elements) * size
	return v
}

// structure is a struct argument, field by field.
type structure []any

// Workspace is the scratch memory in bytes.
func (k *kernel) Workspace() int64 { return k.workspace }

// Algorithm says what products are computed with; "" for what has no choice.
func (k *kernel) Algorithm() string { return k.algorithm }

// Unread lists the inputs that the kernel holds a copy of.
func (k *kernel) Unread() []int { return k.unread }

// Close gives back what cuBLASLt holds for the kernel, and its copies of weights.
func (k *kernel) Close() error {
	for _, p := range k.products {
		p.free()
	}
	var errs []error
	for _, c := range k.held {
		errs = append(errs, k.device.copies.Drop(k.device, c))
	}
	k.products, k.held = nil, nil
	return errors.Join(errs...)
}

// enqueue hands the launches to the driver.
func (k *kernel) enqueue(out device.Pointer, in []device.Pointer, workspace device.Pointer) error {
	d := k.device
	at := func(p pointer) unsafe.Pointer { return p.at(out, in, workspace) }
	for i := range k.launches {
		l := &k.launches[i]
		if l.product != nil {
			done, err := l.product.run(d, at, aligned(unsafe.Add(workspace, k.shared)))
			if err != nil {
				return fmt.Errorf("%s: %w", d.Name(), err)
			}
			if done && l.finish != nil {
				if err := l.finish.enqueue(d, at); err != nil {
					return err
				}
			}
			if done {
				continue
			}
		}
		if err := l.enqueue(d, at); err != nil {
			return err
		}
	}
	return nil
}

// enqueue fills the gaps and hands the launch to the driver.
func (l *launch) enqueue(d *Device, at func(pointer) unsafe.Pointer) error {
	for _, g := range l.gaps {
		binary.NativeEndian.PutUint64(l.arguments[g.at:], uint64(uintptr(at(g.pointer))))
	}
	r := C.hd_launch(contextOf(d.context), functionOf(l.function), C.uint(l.grid[0]), C.uint(l.grid[1]), C.uint(l.grid[2]), C.uint(l.block), C.uint(l.shared),
		streamOf(d.stream), unsafe.Pointer(unsafe.SliceData(l.arguments)), C.size_t(len(l.arguments)))
	if err := result(r); err != nil {
		return fmt.Errorf("%s: kernel %s: %w", d.Name(), l.name, err)
	}
	return nil
}

// builder collects the launches of a kernel.
type builder struct {
	device    *Device
	request   device.Request
	workspace int64
	launches  []launch
	algorithm string // what computes it, where there is a choice; gemm's need not be said
	before    string // what Algorithm names before the products
	gemms     int    // how many products there are, products of them cuBLASLt's
	products  []*product
	shared    int64                   // the most that one of the products takes
	held      []*device.Held[copyKey] // of weights
	unread    []int
	err       error
}

// ownAlgorithm is Kernel.Algorithm of what one of NVIDIA's libraries might have computed and doesn't.
const ownAlgorithm = "own"

// kernel is what was collected.
func (b *builder) kernel() *kernel {
	k := &kernel{
		device: b.device, spec: b.request.Spec, elements: size(b.request.Out), algorithm: b.algorithm, workspace: b.workspace, launches: b.launches, products: b.products, held: b.held, unread: b.unread,
	}
	if b.shared > 0 {
		k.shared = rounded(b.workspace)
		k.workspace = k.shared + rounded(b.shared) + 256 // for aligned
	}
	if k.algorithm == "" && b.gemms > 0 {
		switch len(b.products) {
		case 0:
			k.algorithm = ownAlgorithm
		case b.gemms:
			k.algorithm = nvlib.CUBLASLt.Name
		default:
			k.algorithm = nvlib.CUBLASLt.Name + ", " + ownAlgorithm
		}
		k.algorithm = b.before + k.algorithm
	}
	return k
}

// close gives back what a kernel that isn't made would have held.
func (b *builder) close() error { return b.kernel().Close() }

// in is input i.
func (b *builder) in(i int) value {
	return value{pointer{from: fromInput, input: i}, b.request.In[i].DType == device.BFloat16}
}

// out is the output.
func (b *builder) out() value {
	return value{pointer{from: fromOutput}, b.request.Out.DType == device.BFloat16}
}

// scratch takes n float32 from the workspace.
func (b *builder) scratch(n int) value {
	at := b.workspace
	b.workspace += rounded(4 * int64(n))
	return value{pointer: pointer{from: fromWorkspace, offset: at}}
}

// faults is where kernels report.
func (b *builder) faults() pointer {
	return pointer{from: fixed, fixed: unsafe.Pointer(b.device.fault)}
}

// The numbers of threads that the kernels are written for: kernels/device.cuh, vectors.cuh, parts.cuh, layer_norm.cu, matmul.cu.
const (
	threads = 256 // of EACH
	row     = 128 // ROW
	warps   = 4   // WARPS of a row's block
	lanes   = 32  // LANES
	tile    = 64  // TILE

	channelsOfBlock  = 32 // COLUMNS of 4 channels
	elementsOfThread = 8  // FLAT
)

// mostBlocks is enough to fill any GPU many times over; EACH goes on from there.
const mostBlocks = 1 << 18

// blocks is the grid for n elements.
func blocks(n int) int { return min(ceil(n, threads), mostBlocks) }

func ceil(n, by int) int { return (n + by - 1) / by }

// each launches a kernel for n elements.
func (b *builder) each(name string, n int, arguments ...any) {
	b.launch(name, [3]int{blocks(n), 1, 1}, threads, arguments...)
}

// flat launches a kernel for n elements whose threads take several at a time. Few of them are shared out to more, smaller blocks.
func (b *builder) flat(name string, n int, arguments ...any) {
	block := threads
	if ceil(n, elementsOfThread) < fill*64 {
		block = 64
	}
	b.launch(name, [3]int{min(ceil(n, elementsOfThread*block), mostBlocks), 1, 1}, block, arguments...)
}

// rows launches a kernel whose blocks are rows.
func (b *builder) rows(name string, n int, arguments ...any) {
	b.launch(name, [3]int{n, 1, 1}, row, arguments...)
}

func (b *builder) launch(name string, grid [3]int, block int, arguments ...any) {
	b.launchShared(name, grid, block, 0, arguments...)
}

// mostShared is what a launch may ask for without more ado, in bytes.
const mostShared = 48 << 10

// launchShared launches a kernel that wants shared memory.
func (b *builder) launchShared(name string, grid [3]int, block, shared int, arguments ...any) {
	if b.err != nil {
		return
	}
	l := launch{name: name, grid: grid, block: block, shared: shared}
	if grid[0] > math.MaxInt32 || grid[1] > math.MaxUint16 || grid[2] > math.MaxUint16 {
		b.err = fmt.Errorf("kernel %s: a grid of %v blocks: want at most %d, %d and %d", name, grid, math.MaxInt32, math.MaxUint16, math.MaxUint16)
		return
	}
	if l.function, b.err = b.device.function(name); b.err != nil {
		return
	}
	if shared > mostShared {
		if err := result(C.hd_allow_shared(contextOf(b.device.context), functionOf(l.function), C.uint(shared))); err != nil {
			b.err = fmt.Errorf("kernel %s: %d bytes of shared memory: %w", name, shared, err)
			return
		}
	}
	if b.pack(&l, arguments); b.err != nil {
		return
	}
	b.launches = append(b.launches, l)
}

// pack appends arguments, each at a multiple of its size, as C++ lays them out.
func (b *builder) pack(l *launch, arguments []any) {
	for _, a := range arguments {
		switch v := a.(type) {
		case float32:
			l.arguments = binary.NativeEndian.AppendUint32(l.arguments, math.Float32bits(v))
		case structure:
			l.align()
			b.pack(l, v)
			l.align()
		case int:
			l.word(uint64(v))
		case bool:
			l.word(flag(v))
		case op.Act:
			l.word(uint64(v))
		case pointer:
			l.address(v)
		case value:
			l.address(v.pointer)
			l.word(flag(v.bf16))
		default:
			b.err = fmt.Errorf("kernel %s: an argument of type %T", l.name, a)
		}
	}
}

func (l *launch) word(v uint64) {
	l.align()
	l.arguments = binary.NativeEndian.AppendUint64(l.arguments, v)
}

func (l *launch) address(p pointer) {
	l.word(0)
	if p.from != nowhere {
		l.gaps = append(l.gaps, gap{len(l.arguments) - 8, p})
	}
}

func (l *launch) align() {
	for len(l.arguments)%8 != 0 {
		l.arguments = append(l.arguments, 0)
	}
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// optional is an input that may be missing.
func (b *builder) optional(i int, there bool) value {
	if !there {
		return value{}
	}
	return b.in(i)
}

// width is the last size of a value, 1 for a scalar.
func width(o device.Operand) int {
	if len(o.Shape) == 0 {
		return 1
	}
	return channels(o)
}

// Sizes of […,C] and [N,…,C].
func channels(o device.Operand) int { return o.Shape[len(o.Shape)-1] }
func rows(o device.Operand) int     { return op.Size(o.Shape) / channels(o) }
func samples(o device.Operand) int  { return o.Shape[0] }
func pixels(o device.Operand) int   { return rows(o) / samples(o) }
func size(o device.Operand) int     { return op.Size(o.Shape) }
