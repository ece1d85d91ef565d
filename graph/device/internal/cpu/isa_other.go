//go:build !amd64 && !arm64

package cpu

// #include "kernels.h"
import "C"

func table(isa string) *C.hd_kernels {
	if isa == "generic-bf16" {
		return &C.hd_kernels_generic_bf16
	}
	return &C.hd_kernels_generic
}
