//go:build gpu

package driver

// #include "driver.h"
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"
)

// Alloc allocates memory of the GPU. The address is one of the process's address space, but nothing reads through it
// here.
func Alloc(bytes int64) (unsafe.Pointer, error) {
	p, err := cu.MemAlloc(bytes)
	if err != nil {
		return nil, explain(err)
	}
	return *(*unsafe.Pointer)(unsafe.Pointer(&p)), nil
}

// Free frees memory of the GPU.
func Free(p unsafe.Pointer) error { return explain(cu.MemFree(address(p))) }

// Available is the number of bytes that the GPU has free.
func Available() (int64, error) {
	free, _, err := cu.MemInfo()
	return free, explain(err)
}

// AllocPinned allocates memory of the host that the GPU can copy to and from, and reach.
func AllocPinned(bytes int) (p unsafe.Pointer, err error) {
	err = result(C.cuMemHostAlloc(&p, C.size_t(bytes), C.CU_MEMHOSTALLOC_PORTABLE))
	return p, err
}

// FreePinned frees memory of AllocPinned.
func FreePinned(p unsafe.Pointer) error { return explain(cu.MemFreeHost(p)) }

func address(p unsafe.Pointer) cu.DevicePtr { return cu.DevicePtr(uintptr(p)) }
