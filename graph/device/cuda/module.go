//go:build gpu

package cuda

// #include <stdlib.h>
// #include "driver.h"
import "C"

import (
	_ "embed" // for the kernels
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// ptx is kernels/kernels.cu, compiled by scripts/cuda.sh with NVIDIA's compiler for GPUs of compute capability 8.0 and newer.
//
//go:embed gen_kernels.ptx
var ptx string

// loadModule has the driver compile the kernels for the GPU.
func loadModule() (m cu.Module, err error) {
	text := C.CString(ptx)
	defer C.free(unsafe.Pointer(text))
	log := (*C.char)(C.calloc(1, 4096))
	defer C.free(unsafe.Pointer(log))
	if err := result(C.hd_module_load((*C.CUmodule)(unsafe.Pointer(&m)), text, log, 4096)); err != nil {
		return m, fmt.Errorf("the driver can't compile the kernels: %w %s", err, C.GoString(log))
	}
	return m, nil
}

// function finds a kernel by its name.
func (d *Device) function(name string) (f cu.Function, err error) {
	d.looking.Lock()
	defer d.looking.Unlock()
	if f, ok := d.functions[name]; ok {
		return f, nil
	}
	err = d.within(func() (err error) {
		f, err = d.module.Function(name)
		return err
	})
	if err != nil {
		return f, fmt.Errorf("kernel %s: %w", name, err)
	}
	d.functions[name] = f
	return f, nil
}
