//go:build !amd64

package cpu

// #include "kernels.h"
import "C"

func table(string) *C.hd_kernels { return &C.hd_kernels_generic }
