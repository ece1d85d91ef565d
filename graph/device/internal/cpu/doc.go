// Package cpu is the fast device for processors: kernels in C that need a C compiler and nothing else.
//
// One source serves every instruction set: simd.h wraps the compiler's vector types, the kernels in *.inc.h are written
// on it, and each isa_*.c compiles them once. kernel_list.h lists them; kernels.h makes the table from which isa.go
// chooses the machine's best set when a Device is made (device.go). How a kernel is compiled and run:
//
//	Compile(request)  a Go file of the family (matmul.go, attention.go, norm.go, elementwise.go, pooling.go,
//	                  posterior.go, optimizer.go) chooses the algorithm from the shapes and rearranges constant weights
//	                  (packs.go)
//	Run               one call into C, which splits its loop over the pool's threads (pool.c)
//
// Results depend on the number of threads, not on their timing: the same inputs give the same bytes.
//
// Without cgo the package is empty; package ref does the work then.
package cpu
