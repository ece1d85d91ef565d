// Package kernels holds the functions that run on a GPU: CUDA C++ in FAMILY.cu, and in ptx/ what NVIDIA's compiler
// made of it for compute capability 8.0 (scripts/cuda.sh kernels), which every build embeds. The driver compiles that
// for its GPU.
//
// The sources have no headers. They are C++ for the processor too: ../fakegpu gives the GPU's words a meaning there,
// so that the arithmetic of indices is tested where there is no GPU.
//
// sizes.go repeats the sizes that the sources fix and callers have to know; its test compares the two. ptxc/ is the
// compiler's front.
package kernels
