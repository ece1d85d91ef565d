package cpu

// #include "kernels.h"
import "C"

func table(isa string) *C.hd_kernels {
	switch isa {
	case "avx512":
		return &C.hd_kernels_avx512
	case "avx2":
		return &C.hd_kernels_avx2
	}
	return &C.hd_kernels_generic
}
