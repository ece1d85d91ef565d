//go:build gpu

package driver

// #include <stdlib.h>
// #include "driver.h"
import "C"

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// Module is kernels that the driver has compiled for a GPU.
type Module struct{ module cu.Module }

// Function is a kernel.
type Function struct{ function cu.Function }

// Load has the driver compile PTX.
func Load(ptx string) (m Module, err error) {
	text := C.CString(ptx)
	defer C.free(unsafe.Pointer(text))
	log := (*C.char)(C.calloc(1, 4096))
	defer C.free(unsafe.Pointer(log))
	if err := result(C.hd_module_load((*C.CUmodule)(unsafe.Pointer(&m.module)), text, log, 4096)); err != nil {
		return m, fmt.Errorf("%w %s", err, C.GoString(log))
	}
	return m, nil
}

// Function finds a kernel.
func (m Module) Function(name string) (Function, error) {
	f, err := m.module.Function(name)
	return Function{f}, explain(err)
}

// Unload frees the kernels.
func (m Module) Unload() error { return explain(m.module.Unload()) }

// AllowShared lets a kernel be launched with so many bytes of shared memory: without it 48 KiB are the most.
func (s *Stream) AllowShared(f Function, bytes int) error {
	return result(C.hd_allow_shared(contextOf(s), functionOf(f), C.uint(bytes)))
}

// Launch queues a kernel with packed arguments and bytes of shared memory in addition to what it declares.
func (s *Stream) Launch(f Function, grid [3]int, block, shared int, arguments []byte) error {
	return result(C.hd_launch(contextOf(s), functionOf(f), C.uint(grid[0]), C.uint(grid[1]), C.uint(grid[2]),
		C.uint(block), C.uint(shared), streamOf(s), unsafe.Pointer(unsafe.SliceData(arguments)), C.size_t(len(arguments))))
}

// Package cu keeps the driver's handles in structs of one pointer.
func contextOf(s *Stream) C.CUcontext    { return *(*C.CUcontext)(unsafe.Pointer(&s.context)) }
func streamOf(s *Stream) C.CUstream      { return *(*C.CUstream)(unsafe.Pointer(&s.stream)) }
func functionOf(f Function) C.CUfunction { return *(*C.CUfunction)(unsafe.Pointer(&f.function)) }
