package cpu

// #include "kernels.h"
import "C"

func table(isa string) *C.hd_kernels {
	switch isa {
	case "avx512bf16":
		return &C.hd_kernels_avx512bf16
	case "avx512":
		return &C.hd_kernels_avx512
	case "avx2":
		return &C.hd_kernels_avx2
	case "generic-bf16":
		return &C.hd_kernels_generic_bf16
	}
	return &C.hd_kernels_generic
}
