// Package device defines the devices that compiled programs run on: their memory and their kernels.
//
// A device is a small interface. graph/vm asks it for memory, compiles a kernel for every (operation, shapes, element
// types) once, and then runs the kernels in order. device/ref is plain Go, written to be read, and the oracle of the
// others; device/cpu holds C kernels. A device never falls back to another one: an operation that it lacks is an error
// at compile time. Every device must pass the suite in device/devicetest.
//
// device.go has the interfaces, value.go tensors in a device's memory, shared.go what programs share, bfloat16.go the
// element type.
package device
