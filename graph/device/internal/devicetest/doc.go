// Package devicetest is the suite that every device must pass: each operation of graph/op as a kernel, against
// package ref in float64 with the same inputs.
//
// For each case draw.go fills the inputs (rounded to how they are stored, so that both sides see the same numbers),
// suite.go asks the oracle once and then each device, execute.go runs the kernel in every way that a program may
// (twice, in place, with constant weights, with little memory, with inputs that begin anywhere), memory.go surrounds
// every operand with guard bytes and fills memory that a kernel must not read with NaN, tolerance.go and magnitude.go
// say how far the result may be off and why. contract.go tests a device's other methods.
//
// There is one file of cases per family: conv.go, pool.go, linear.go, attention.go, norm.go, elementwise.go,
// arrange.go, reduce.go, posterior.go, optimizer.go. Their shapes are those of the real networks, made smaller in one
// direction, and odd ones from shapes.go. naive_test.go holds the heavy operations as loops written from their
// definitions, with which the package's own test compares package ref.
package devicetest
