//go:build gpu

package launch

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/kernels"
	"github.com/histdist/histdist/graph/op"
)

// Builder collects the launches of a kernel.
type Builder struct {
	GPU     *GPU
	Request device.Request
	// Algorithm names the library or kernel, where there is a choice.
	Algorithm string
	// Unread lists the inputs that the kernel holds a copy of.
	Unread []int
	// Err is the first error. Nothing is launched after it.
	Err error

	workspace int64
	shared    int64 // the most that one of the substitutes needs
	launches  []Launch
	held      []func() error
}

// Kernel returns the collected launches as a kernel, which must be closed even if it isn't used.
func (b *Builder) Kernel() *Kernel {
	k := &Kernel{
		gpu: b.GPU, spec: b.Request.Spec, elements: op.Size(b.Request.Out.Shape), algorithm: b.Algorithm,
		workspace: b.workspace, launches: b.launches, held: b.held, unread: b.Unread,
	}
	if b.shared > 0 {
		k.shared = RoundUp(b.workspace)
		k.workspace = k.shared + RoundUp(b.shared) + Alignment // for Align
	}
	return k
}

// Empty reports whether there is nothing to launch.
func (b *Builder) Empty() bool { return len(b.launches) == 0 }

// Plain reports whether the launches need no workspace and hold nothing.
func (b *Builder) Plain() bool { return b.workspace == 0 && b.shared == 0 && len(b.held) == 0 }

// Workspace is the size of the workspace so far, in bytes.
func (b *Builder) Workspace() int64 { return b.workspace }

// Hold has free called when the kernel is closed.
func (b *Builder) Hold(free func() error) { b.held = append(b.held, free) }

// Substitute replaces the last launch by s, which needs a workspace of so many bytes, where the addresses allow it,
// followed by finish, which may be nil.
func (b *Builder) Substitute(s Substitute, workspace int64, finish *Launch) {
	if b.Err != nil {
		return
	}
	last := &b.launches[len(b.launches)-1]
	last.substitute, last.finish = s, finish
	b.shared = max(b.shared, workspace)
}

// Take removes the last launch and returns it.
func (b *Builder) Take() *Launch {
	last := len(b.launches) - 1
	l := b.launches[last]
	b.launches = b.launches[:last]
	return &l
}

// In is input i.
func (b *Builder) In(i int) Value {
	return Value{Pointer{from: fromInput, input: i}, b.Request.In[i].DType == device.BFloat16}
}

// Optional is input i, or nil where it isn't there.
func (b *Builder) Optional(i int, there bool) Value {
	if !there {
		return Value{}
	}
	return b.In(i)
}

// Out is the output.
func (b *Builder) Out() Value {
	return Value{Pointer{from: fromOutput}, b.Request.Out.DType == device.BFloat16}
}

// Scratch takes n float32 from the workspace.
func (b *Builder) Scratch(n int) Value {
	at := b.workspace
	b.workspace += RoundUp(4 * int64(n))
	return Value{Pointer: Pointer{from: fromWorkspace, offset: at}}
}

// Halves takes n bfloat16 from the workspace.
func (b *Builder) Halves(n int) Value {
	v := b.Scratch(Ceil(n, 2))
	v.BF16 = true
	return v
}

// ScratchOf takes n elements from the workspace.
func (b *Builder) ScratchOf(n int, t device.DType) Value {
	if t == device.BFloat16 {
		return b.Halves(n)
	}
	return b.Scratch(n)
}

// Fault is the address for kernels' errors.
func (b *Builder) Fault() Pointer { return Fixed(b.GPU.Fault) }

const (
	// Fill is how many blocks fill the largest GPU: 8 for each of the 132 multiprocessors of an H100. It is the same on
	// every GPU, and so are sums that are split into so many parts.
	Fill = 8 * 132
	// mostBlocks is enough to fill any GPU many times over; a kernel's threads go on from there.
	mostBlocks = 1 << 18
	// mostShared is the shared memory that a launch may ask for without AllowShared, in bytes.
	mostShared = 48 << 10
)

// Ceil is n/by, rounded up.
func Ceil(n, by int) int { return (n + by - 1) / by }

// blocks is the grid for n threads.
func blocks(n int) [3]int { return [3]int{min(Ceil(n, kernels.Threads), mostBlocks), 1, 1} }

// Each launches a kernel for n elements.
func (b *Builder) Each(name string, n int, arguments ...any) {
	b.Launch(name, blocks(n), kernels.Threads, arguments...)
}

// Eights launches a kernel for n elements whose threads process 8 of them each.
func (b *Builder) Eights(name string, n int, arguments ...any) {
	b.Launch(name, blocks(Ceil(n, 8)), kernels.Threads, arguments...)
}

// Flat launches a kernel for n elements whose threads process several at a time. Few elements are divided among more,
// smaller blocks.
func (b *Builder) Flat(name string, n int, arguments ...any) {
	block := kernels.Threads
	if Ceil(n, kernels.ElementsOfThread) < Fill*64 {
		block = 64
	}
	b.Launch(name, [3]int{min(Ceil(n, kernels.ElementsOfThread*block), mostBlocks), 1, 1}, block, arguments...)
}

// Rows launches a kernel whose n blocks are rows.
func (b *Builder) Rows(name string, n int, arguments ...any) {
	b.Launch(name, [3]int{n, 1, 1}, kernels.Row, arguments...)
}

// Launch launches a kernel.
func (b *Builder) Launch(name string, grid [3]int, block int, arguments ...any) {
	b.LaunchShared(name, grid, block, 0, arguments...)
}

// LaunchShared launches a kernel with bytes of shared memory in addition to what it declares. Arguments are float32,
// int, bool, op.Act, Pointer, Value and Structure.
func (b *Builder) LaunchShared(name string, grid [3]int, block, shared int, arguments ...any) {
	if b.Err != nil {
		return
	}
	l := Launch{name: name, grid: grid, block: block, shared: shared}
	if grid[0] > math.MaxInt32 || grid[1] > math.MaxUint16 || grid[2] > math.MaxUint16 {
		b.Err = fmt.Errorf("kernel %s: a grid of %v blocks: want at most %d, %d and %d",
			name, grid, math.MaxInt32, math.MaxUint16, math.MaxUint16)
		return
	}
	if l.function, b.Err = b.GPU.Function(name); b.Err != nil {
		return
	}
	if shared > mostShared {
		if err := b.GPU.Stream.AllowShared(l.function, shared); err != nil {
			b.Err = fmt.Errorf("kernel %s: %d bytes of shared memory: %w", name, shared, err)
			return
		}
	}
	if err := l.pack(arguments); err != nil {
		b.Err = err
		return
	}
	b.launches = append(b.launches, l)
}

// pack appends arguments, each at a multiple of its size, as C++ lays them out.
func (l *Launch) pack(arguments []any) error {
	for _, a := range arguments {
		switch v := a.(type) {
		case float32:
			l.arguments = binary.NativeEndian.AppendUint32(l.arguments, math.Float32bits(v))
		case Structure:
			l.align()
			if err := l.pack(v); err != nil {
				return err
			}
			l.align()
		case int:
			l.word(uint64(v))
		case bool:
			l.word(flag(v))
		case op.Act:
			l.word(uint64(v))
		case Pointer:
			l.address(v)
		case Value:
			l.address(v.Pointer)
			l.word(flag(v.BF16))
		default:
			return fmt.Errorf("kernel %s: an argument of type %T", l.name, a)
		}
	}
	return nil
}

func (l *Launch) word(v uint64) {
	l.align()
	l.arguments = binary.NativeEndian.AppendUint64(l.arguments, v)
}

func (l *Launch) address(p Pointer) {
	l.word(0)
	if !p.IsNil() {
		l.gaps = append(l.gaps, gap{len(l.arguments) - 8, p})
	}
}

func (l *Launch) align() {
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
