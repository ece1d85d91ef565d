// Package cublaslt multiplies matrices with NVIDIA's cuBLASLt, which counts columns where we count rows. It is opened
// at run time.
package cublaslt
