//go:build gpu

package launch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/driver"
	"github.com/histdist/histdist/graph/op"
)

// Kernel is a list of launches that compute an operation.
type Kernel struct {
	gpu       *GPU
	spec      op.Spec
	elements  int // of the output
	algorithm string
	workspace int64
	shared    int64 // offset of the part of the workspace that substitutes share
	launches  []Launch
	held      []func() error
	unread    []int
}

// Launch is a call of a function of the GPU: its arguments packed as the driver takes them, except for the addresses
// of a run.
type Launch struct {
	name      string
	function  driver.Function
	grid      [3]int
	block     int
	shared    int // bytes of shared memory in addition to what the function declares
	arguments []byte
	gaps      []gap
	// substitute replaces the launch, followed by finish, where the operands' addresses allow it.
	substitute Substitute
	finish     *Launch
}

// Substitute computes the same as a launch, for example by a library's product.
type Substitute interface {
	// Run queues the work. It returns false, having queued nothing, where an operand's address doesn't suit it.
	Run(a *Addresses, workspace unsafe.Pointer) (done bool, err error)
}

// gap is where an address belongs in the arguments.
type gap struct {
	at      int
	pointer Pointer
}

func (k *Kernel) Spec() op.Spec    { return k.spec }
func (k *Kernel) Elements() int    { return k.elements }
func (k *Kernel) Workspace() int64 { return k.workspace }

// Algorithm says what products are computed with; "" where there is no choice.
func (k *Kernel) Algorithm() string { return k.algorithm }
func (k *Kernel) Unread() []int     { return k.unread }

// Close frees what the kernel holds: the libraries' plans and copies of weights.
func (k *Kernel) Close() error {
	var errs []error
	for _, free := range k.held {
		errs = append(errs, free())
	}
	k.held = nil
	return errors.Join(errs...)
}

// Enqueue hands the launches to the driver.
func (k *Kernel) Enqueue(a *Addresses) error {
	for i := range k.launches {
		l := &k.launches[i]
		if l.substitute != nil {
			done, err := l.substitute.Run(a, Align(unsafe.Add(a.Workspace, k.shared)))
			if err != nil {
				return fmt.Errorf("%s: %w", k.gpu.Name, err)
			}
			if done && l.finish != nil {
				if err := l.finish.enqueue(k.gpu, a); err != nil {
					return err
				}
			}
			if done {
				continue
			}
		}
		if err := l.enqueue(k.gpu, a); err != nil {
			return err
		}
	}
	return nil
}

// enqueue fills the gaps and hands the launch to the driver.
func (l *Launch) enqueue(g *GPU, a *Addresses) error {
	for _, gap := range l.gaps {
		binary.NativeEndian.PutUint64(l.arguments[gap.at:], uint64(uintptr(a.At(gap.pointer))))
	}
	if err := g.Stream.Launch(l.function, l.grid, l.block, l.shared, l.arguments); err != nil {
		return fmt.Errorf("%s: kernel %s: %w", g.Name, l.name, err)
	}
	return nil
}

// Alignment is the alignment of libraries' workspaces, in bytes.
const Alignment = 256

// Align is the next multiple of Alignment.
func Align(p device.Pointer) device.Pointer { return unsafe.Add(p, -uintptr(p)&(Alignment-1)) }

// RoundUp is the next multiple of Alignment, 0 excepted.
func RoundUp(bytes int64) int64 { return (max(bytes, 1) + Alignment - 1) / Alignment * Alignment }
