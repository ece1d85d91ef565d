// Package device defines the devices that compiled programs run on: their memory and their kernels.
//
// A device is a small interface. graph/vm asks it for memory, compiles a kernel for every (operation, shapes, element
// types) once, and then runs the kernels in order. internal/ref is plain Go, written to be read, and the oracle of the
// others; internal/cpu holds C kernels, internal/cuda those of NVIDIA GPUs. A device never falls back to another one:
// an operation that it lacks is an error at compile time. Every device must pass the suite in internal/devicetest.
// Package catalog opens them by name.
//
// device.go has the interfaces, value.go tensors in a device's memory, shared.go what programs share, bfloat16.go the
// element type.
package device
