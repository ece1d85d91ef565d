//go:build gpu

package nvlib

// #include "open.h"
import "C"

import (
	"errors"
	"unsafe"
)

// Open finds and opens the library for a driver that knows CUDA version driver, counted as cuDriverGetVersion does:
// 12040 is 12.4.
func (p LibrarySpec) Open(driver int) (*Library, error) { return p.openWith(system{}, driver) }

// system is the system's loader.
type system struct{}

func (system) open(name string, global bool) (handle unsafe.Pointer, path string, err error) {
	c := cString(name)
	const n = 4096
	var text [n]C.char
	mode := C.int(0)
	if global {
		mode = 1
	}
	handle = C.hd_library_open(&c[0], mode, &text[0], n)
	said := C.GoString(&text[0])
	if handle == nil {
		return nil, "", errors.New(said)
	}
	if said == "" {
		said = name
	}
	return handle, said, nil
}

func (system) version(handle unsafe.Pointer, f versionFunction) int {
	c := cString(f.name)
	if f.byPointer {
		return int(C.hd_library_version_by_pointer(handle, &c[0]))
	}
	return int(C.hd_library_version(handle, &c[0]))
}

func (system) symbol(handle unsafe.Pointer, name string) unsafe.Pointer {
	c := cString(name)
	return C.hd_library_symbol(handle, &c[0])
}

// cString is a string as C has it, in Go's memory.
func cString(s string) []C.char {
	c := make([]C.char, len(s)+1)
	for i := range len(s) {
		c[i] = C.char(s[i])
	}
	return c
}
