package op

import (
	"fmt"
	"reflect"
	"slices"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Kind says how a value is stored in a program; the program's precision decides the element type.
type Kind uint8

const (
	// Feature is a value stored in the program's precision: what feeds matrix products (normalised values, queries, keys,
	// values, attention, activations) and the gradient of such a value.
	Feature Kind = iota
	// Exact is a value that keeps float32 (float64 in a float64 program) at any precision: parameters and their
	// gradients, statistics, losses, and sums, the residual stream and its gradient above all. Each block adds to the
	// stream, so that its rounding errors add up: with a stream in bfloat16 small U-Nets are off by 1.8e-2 … 2.45e-2 of
	// their output's norm, with a stream in float32 by 1.0e-2 … 1.6e-2.
	Exact
	// Index is an int32 value, such as token ids.
	Index
)

func (k Kind) String() string { return [...]string{"feature", "exact", "index"}[k] }

// Spec is what one operation computes: a plain struct of attributes, comparable by content, on whose type devices
// switch.
type Spec interface {
	// Infer checks the shapes of the inputs, which are as many as Apply has, and returns the output's. Its error names the
	// shape that is wrong and the one that is wanted.
	Infer(in []tensor.Shape) (tensor.Shape, error)
	// Kinds returns how each of n inputs and the output are stored.
	Kinds(n int) (in []Kind, out Kind)
}

// Differentiable is a Spec through which a gradient flows.
type Differentiable interface {
	Spec
	// Grad returns the gradient with respect to each input, built in s from dy, the gradient with respect to the output.
	// Errors are collected in s.
	Grad(s *Scope, in gorgonia.Nodes, out, dy *gorgonia.Node) gorgonia.Nodes
}

// PartlyDifferentiable is a Spec whose gradient doesn't flow to all inputs. Grad returns nil for the others.
type PartlyDifferentiable interface {
	Differentiable
	// Diff reports for each of n inputs whether a gradient flows to it.
	Diff(n int) []bool
}

// Name is the operation's name in errors and reports, its type's: "Conv2D".
func Name(s Spec) string { return reflect.TypeOf(s).Name() }

// Viewer is a Spec whose output is part of its first input's memory: no kernel runs.
type Viewer interface {
	Spec
	// ViewOffset is where the output begins in the input, in elements.
	ViewOffset() int
}

// InPlacer is a Spec whose output may take the memory of an input that nothing reads afterwards.
type InPlacer interface {
	Spec
	// InPlace lists those inputs, the best first. They have the output's shape; one that is stored in another element type
	// than the output is passed over.
	InPlace(n int) []int
}

// Updater is a Spec that writes into some of its inputs, such as an optimiser's step. Its output is its first input.
type Updater interface {
	Spec
	// Updates lists the inputs that are written.
	Updates() []int
}

// Counter is a Spec that knows its floating-point operations (a multiply-add counts as two).
type Counter interface {
	Spec
	// FLOPs returns the count for given shapes.
	FLOPs(in []tensor.Shape, out tensor.Shape) int64
}

// Size is the number of elements of a shape; a scalar has one.
func Size(s tensor.Shape) int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// NHWC returns the sizes of images x [N,H,W,C]. After an error in the network, when x is nil or no image, all are 1, so
// that building can go on without a check.
func NHWC(x *gorgonia.Node) (n, h, w, c int) {
	if x == nil || x.Dims() != 4 {
		return 1, 1, 1, 1
	}
	s := x.Shape()
	return s[0], s[1], s[2], s[3]
}

// lastDim is the number of channels.
func lastDim(s tensor.Shape) int { return s[len(s)-1] }

// features returns n inputs and an output that are all features.
func features(n int) ([]Kind, Kind) { return make([]Kind, n), Feature }

// exacts returns n inputs and an output that are all exact.
func exacts(n int) ([]Kind, Kind) {
	k := make([]Kind, n)
	for i := range k {
		k[i] = Exact
	}
	return k, Exact
}

// equal compares shapes axis by axis; tensor.Shape's Eq takes a column for a vector.
func equal(a, b tensor.Shape) bool { return slices.Equal(a, b) }

// errorf is fmt.Errorf with shapes written as [1 4096 320].
func errorf(format string, args ...any) error {
	for i, a := range args {
		switch s := a.(type) {
		case tensor.Shape:
			args[i] = []int(s)
		case []tensor.Shape:
			plain := make([][]int, len(s))
			for j := range s {
				plain[j] = s[j]
			}
			args[i] = plain
		}
	}
	return fmt.Errorf(format, args...)
}
