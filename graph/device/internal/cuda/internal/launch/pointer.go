//go:build gpu

package launch

import (
	"unsafe"

	"github.com/histdist/histdist/graph/device"
)

// Addresses are a run's arguments of a kernel.
type Addresses struct {
	Out       device.Pointer
	In        []device.Pointer
	Workspace device.Pointer
}

// At is where a pointer leads in a run.
func (a *Addresses) At(p Pointer) unsafe.Pointer {
	var base unsafe.Pointer
	switch p.from {
	case nowhere:
		return nil
	case fromOutput:
		base = a.Out
	case fromInput:
		base = a.In[p.input]
	case fromWorkspace:
		base = a.Workspace
	case fixed:
		base = p.fixed
	}
	return unsafe.Add(base, p.offset)
}

// Pointer is an address that is known when the kernel runs; the zero value is nil.
type Pointer struct {
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

// Fixed is an address that is the same in all runs.
func Fixed(p unsafe.Pointer) Pointer { return Pointer{from: fixed, fixed: p} }

// IsNil reports whether a pointer is nil.
func (p Pointer) IsNil() bool { return p.from == nowhere }

// IsFixed reports whether a pointer is the same in all runs.
func (p Pointer) IsFixed() bool { return p.from == fixed }

// PlusBytes moves a pointer.
func (p Pointer) PlusBytes(n int64) Pointer {
	p.offset += n
	return p
}

// Value is In or Out of device.cuh: an address and its element type.
type Value struct {
	Pointer
	BF16 bool // else float32
}

// Plus moves by elements.
func (v Value) Plus(elements int) Value {
	size := int64(4)
	if v.BF16 {
		size = 2
	}
	v.Pointer = v.PlusBytes(int64(elements) * size)
	return v
}

// Structure is a struct argument, field by field.
type Structure []any
