// Package driver is the part of NVIDIA's driver API that the device uses. It alone imports gorgonia.org/cu; driver.c
// has what that lacks.
//
//	driver.go  opens the driver
//	errors.go  its errors
//	gpu.go     what GPUs there are
//	stream.go  a GPU's work, in order; copies
//	memory.go  memory of the GPU, and pinned memory of the host
//	event.go   points in a stream's work
//	module.go  kernels: PTX → functions, launches
//	graph.go   recorded work
//
// A function that works on a GPU is called within Stream.Within, which gives its thread the GPU's context. Launch and
// Replay, which run for every kernel, do that themselves.
//
// libcuda/ is what programs are linked with in place of NVIDIA's driver, so that they start where there is none.
package driver
