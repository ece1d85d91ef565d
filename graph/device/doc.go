// Package device says what a compiled program runs on: where memory comes from and which kernel computes an operation.
//
// A device is a small interface. graph/vm asks it for memory, compiles a kernel for every (operation, shapes, element
// types) once, and then runs the kernels in order. device/ref is plain Go, written to be read, and the oracle of the
// others; device/cpu holds C kernels. A device never falls back to another one: what it can't do is an error at compile
// time. The suite in device/devicetest is what every device must pass.
package device
