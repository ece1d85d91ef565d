package vm

import (
	"slices"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
)

// space numbers a stretch of memory that a program works on: the arena, what each prelude keeps, each parameter and
// each input. A program knows the fixed addresses, a run all of them.
type space int

const (
	nowhere    space = iota
	arenaSpace       // values and workspaces
	firstFree        // the others, as they come
)

// address is a place in a space.
type address struct {
	space  space
	offset int64 // bytes
}

// operand is an input or the output of a call.
type operand struct {
	name  string
	shape tensor.Shape
	dtype device.DType
	at    address
}

func (o operand) bytes() int64 { return int64(op.Size(o.shape)) * o.dtype.Size() }

// overlaps reports whether two operands share memory.
func (o operand) overlaps(other operand) bool {
	return o.at.space == other.at.space &&
		o.at.offset < other.at.offset+other.bytes() && other.at.offset < o.at.offset+o.bytes()
}

// takes reports whether h has the operand's shape; for a scalar, any shape of one element is right.
func (o operand) takes(h host) bool {
	return slices.Equal(h.shape, o.shape) || len(o.shape) == 0 && op.Size(h.shape) == 1
}

// operand describes a value to what runs it.
func (v *value) operand() operand { return operand{v.name, v.shape, v.dtype, v.at()} }

// frame has the addresses of a program's spaces in one run.
type frame []device.Pointer

// address returns nil for a parameter that no kernel reads: its space has no address.
func (f frame) address(a address) device.Pointer {
	if f[a.space] == nil {
		return nil
	}
	return offset(f[a.space], a.offset)
}
