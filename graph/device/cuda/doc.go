// Package cuda is the device for NVIDIA's GPUs. It is in builds with the tag gpu, which `make gpu` makes; see docs/cuda.md.
//
// The way of a kernel:
//
//	Compile(request)  a Go file of the family (matmul.go, attention.go, norm.go, elementwise.go, arrange.go, reduce.go, pooling.go,
//	                  posterior.go, optimizer.go) lists launches: a function, the sizes of its grid, its arguments with gaps for
//	                  addresses (launch.go)
//	Run               fills the gaps and hands the launches to the driver, which does them in order; nothing waits
//
// The functions are the CUDA C++ of kernels/, compiled ahead of time to a gen_FAMILY.ptx for each kernels/FAMILY.cu (module.go), which the
// driver turns into the machine's code when the first function of the family is asked for. driver.go has the context, the
// stream and copies; memory.go hands memory out.
//
// Programs in bfloat16 have kernels for tensor cores, made of the instructions in kernels/mma.cuh: attention (flash.go) and convolutions
// (implicit.go).
//
// libraries.go opens NVIDIA's libraries beside the driver, the newest that places.go finds. lt.go has cuBLASLt compute the matrix products of
// matmul.go and attention.go, with weights in its element type (copies.go) and what its epilogue hasn't launched behind it; our own kernels are
// for machines without it. convolution.go has cuDNN compute convolutions and their gradients with respect to the image: dnn.go and dnn.c make its
// plans, and our own kernels take what it has no engine for. patches.go makes products of those that it does badly, and of weights' gradients.
// sdpa.go and sdpa.c have cuDNN compute large attentions. maker.h is what both make cuDNN's descriptors with.
//
// record.go keeps a program's kernels as a CUDA graph. group.go sums over several GPUs, by NCCL.
//
// libcuda/ is what a program is linked with in place of NVIDIA's driver, so that it starts where there is none: the driver is opened
// when the device is. fake/ is a driver for tests where there is no GPU, the same kernels compiled for the processor, and
// stand-ins for the libraries.
//
// Sums are taken in a fixed order, without atomic additions: the same inputs give the same bytes.
//
// Without the tag the package is empty.
package cuda
