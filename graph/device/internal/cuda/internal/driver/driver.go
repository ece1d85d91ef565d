//go:build gpu

package driver

/*
#cgo LDFLAGS: -lcuda
#include <stdlib.h>
#include "driver.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// library is NVIDIA's driver, as its packages install it.
const library = "libcuda.so.1"

// minVersion is the CUDA version of the drivers that understand the kernels' PTX, as cuDriverGetVersion counts: 12.1,
// driver 530.
const minVersion = 12010

// ErrNoDriver is the error where NVIDIA's driver is missing, too old or finds no GPU.
var ErrNoDriver = errors.New("no usable NVIDIA driver")

// Open opens the driver's library, "" for NVIDIA's, and returns the CUDA version that it knows, counted as 12040 for
// 12.4. The first library that opens is the process's.
func Open(path string) (version int, err error) {
	if path == "" {
		path = library
	}
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	if message := C.hd_driver_open(p); message != nil {
		return 0, fmt.Errorf("cuda: %w: %s: install NVIDIA's driver 530 or newer, or use the device cpu",
			ErrNoDriver, C.GoString(message))
	}
	if err := result(C.cuInit(0)); err != nil {
		return 0, fmt.Errorf("cuda: %w: %w: is there a GPU, and may this process use it (nvidia-smi)?", ErrNoDriver, err)
	}
	if version = cu.Version(); version < minVersion {
		return version, fmt.Errorf("cuda: %w: it has CUDA %s, want %s or newer: install NVIDIA's driver 530 or newer",
			ErrNoDriver, VersionText(version), VersionText(minVersion))
	}
	return version, nil
}

// VersionText is "12.4" for 12040.
func VersionText(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }
