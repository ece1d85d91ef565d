// Package cudnn computes convolutions and attention with NVIDIA's cuDNN, by graphs of operations for which it has
// plans. It is opened at run time.
//
//	cudnn.go       the library, its plans, which kernels share, and their runs
//	requests.go    convolutions and attention, as requests for plans
//	dnn.h, dnn.c   the same in C; the graphs of convolutions
//	attention.c    the graphs of attention
//	descriptors.h  making cuDNN's descriptors and plans, for both
package cudnn
