//go:build gpu

package ops

import (
	"unsafe"

	"github.com/histdist/histdist/graph/device/internal/cuda/internal/cudnn"
	"github.com/histdist/histdist/graph/device/internal/cuda/internal/launch"
)

// planned is a plan of cuDNN's with the places of its tensors. A run that has an operand at an odd address takes our
// own kernels: views at odd places, which networks don't make.
type planned struct {
	*cudnn.Call
	tensors tensors
}

type tensors [cudnn.Tensors]launch.Pointer

// aligned reports whether all tensors of a run are aligned as the plan requires.
func (p *planned) aligned(a *launch.Addresses) bool {
	for _, t := range p.tensors {
		if uintptr(a.At(t))%cudnn.Alignment != 0 {
			return false
		}
	}
	return true
}

// enqueue queues the plan's work.
func (p *planned) enqueue(a *launch.Addresses, workspace unsafe.Pointer) error {
	var tensors [cudnn.Tensors]unsafe.Pointer
	for i, t := range p.tensors {
		tensors[i] = a.At(t)
	}
	return p.Run(&tensors, workspace)
}
