// Package cuda is the device for NVIDIA GPUs. It is in builds with the tag gpu, which `make gpu` makes; see
// docs/cuda.md. Without the tag the package is empty.
//
//	device.go  opens and closes a GPU, and compiles kernels for it
//	memory.go  allocates memory
//	copy.go    copies to and from the host, and within the GPU
//	record.go  recordings of a program's kernels as CUDA graphs
//	group.go   sums over several GPUs
//	info.go    what a machine has
//
// Below it, from the top down:
//
//	internal/ops                    an operation → launches of kernels, or a library's work
//	internal/launch                 launches: grids, arguments with gaps for addresses
//	internal/kernels                the kernels in CUDA C++, and compiled ahead of time to PTX
//	internal/cublaslt, cudnn, nccl  NVIDIA's libraries
//	internal/nvlib                  finds and opens them
//	internal/driver                 NVIDIA's driver
//
// internal/fakegpu is a driver for tests where there is no GPU, with the same kernels compiled for the processor, and
// stand-ins for the libraries.
//
// A kernel is compiled once into a list of launches with gaps for addresses. A run fills the gaps and hands the
// launches to the driver, which does them in order; nothing waits.
package cuda
