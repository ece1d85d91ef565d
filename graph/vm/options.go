package vm

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// Precision is the element type of a program's features: what feeds matrix products, and its gradient. Sums (the
// residual stream), parameters, their gradients, statistics and losses keep float32 in a bfloat16 program; see op.Kind.
type Precision uint8

// The precisions.
const (
	Float32 Precision = iota
	BFloat16
	Float64 // everything in float64, parameters too: for checks on the device ref
)

func (p Precision) String() string { return [...]string{"float32", "bfloat16", "float64"}[p] }

func (p Precision) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func (p *Precision) UnmarshalText(name []byte) error {
	for q := Float32; q <= Float64; q++ {
		if q.String() == string(name) {
			*p = q
			return nil
		}
	}
	return fmt.Errorf("precision %q: want float32, bfloat16 or float64", name)
}

func (p Precision) dtype(k op.Kind) device.DType {
	switch {
	case k == op.Index:
		return device.Int32
	case p == Float64:
		return device.Float64
	case p == BFloat16 && k == op.Feature:
		return device.BFloat16
	}
	return device.Float32
}

// Options say how a graph is compiled.
type Options struct {
	// Device runs the program; it stays the caller's.
	Device device.Device
	// Precision is Float32 unless said otherwise.
	Precision Precision
	// Recompute computes the inside of marked segments again in the backward pass instead of keeping it.
	Recompute bool
	// LowMemory chooses kernels that need no packed weights.
	LowMemory bool
	// Vary lists parameters whose bytes change between runs, for example by another program: kernels must not rearrange
	// them when they are compiled. Those that the program itself updates are known.
	Vary gorgonia.Nodes
	// Invariant lists inputs that are fed the same few values again and again, such as the context and the timesteps of a
	// sampler. Values that depend on one of them alone are computed when it is fed for the first time and kept, within a
	// bound on memory; Run compares the bytes.
	Invariant gorgonia.Nodes
	// Milestones are groups of outputs, in the order in which Program.RunPast reports them.
	Milestones []gorgonia.Nodes
	// MemoryLimit is the number of bytes that the program may take; 0 means what the device has available.
	MemoryLimit int64
	// Profile waits for the device after every step, so that reports have each step's time on asynchronous devices too. It
	// is slow.
	Profile bool
	// CheckFinite checks every result and ends a run at the first NaN or infinity. It is slow.
	CheckFinite bool
}
