package cpu

// #include "kernels.h"
import "C"

func table(isa string) *C.hd_kernels {
	switch isa {
	case "neon":
		return &C.hd_kernels_neon
	case "generic-bf16":
		return &C.hd_kernels_generic_bf16
	}
	return &C.hd_kernels_generic
}
