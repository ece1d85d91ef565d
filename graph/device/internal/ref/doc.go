// Package ref is the reference device: plain Go, written to be read, and the oracle that the other devices are tested
// against. It is also the device of builds without cgo.
//
// A program is in float32 or in float64 throughout; the kernels are generic over both. Sums are taken in float64 where
// that costs little; matrix products are gonum's.
//
// Device.Compile looks the operation up in kernelOf (kernel.go), whose functions compute all sizes once and return a
// kernel; kernel.Run views the addresses that it gets as slices and passes them to the kernel's function.
//
// The operations are in files named like those of graph/op. matrix.go is the matrix product, each.go the use of all
// processors.
package ref
