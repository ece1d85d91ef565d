// Package ops compiles operations for a GPU: each into launches of the kernels of internal/kernels, or into what
// NVIDIA's libraries compute, whichever is best at it.
//
//	gpu.go            what operations need; which of the ways below takes an operation; recorded runs
//	operands.go       sizes of operands
//	matmul.go         products, by cuBLASLt where it can (product.go), with weights in its element type (weights.go)
//	attention*.go     by products, by tensor cores without a matrix of probabilities (flash), by cuDNN
//	convolution_*.go  by patches and products, by tensor cores without patches (implicit), by cuDNN (plan.go)
//
// The other families have one way and one file each: arrange.go, elementwise.go, norm.go, optimizer.go, pooling.go,
// posterior.go, reduce.go.
//
// Sums are taken in a fixed order, without atomic additions: the same inputs give the same bytes.
package ops
