// Package launch builds kernels, in the sense of device.Kernel, out of launches of functions of the GPU.
//
//	pointer.go  addresses that are known when a kernel runs
//	builder.go  collects launches: functions, grids, arguments with gaps for addresses, workspace
//	kernel.go   fills the gaps and hands the launches to the driver
//	list.go     arguments for launches over many tensors
//	gpu.go      finds functions by name in the PTX of internal/kernels
//
// It knows no operation.
package launch
