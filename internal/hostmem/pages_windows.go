package hostmem

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// Reserve returns so many addresses, 1 or more, from the beginning of a page on, that can't be read or written yet.
// They take no memory.
func Reserve(bytes int) ([]byte, error) {
	p, err := windows.VirtualAlloc(0, uintptr(bytes), windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	if err != nil {
		return nil, err
	}
	// Not by unsafe.Pointer(p), which go vet takes for the address of a Go value that may have moved.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), bytes), nil
}

// Commit lets a part of what Reserve returned be read and written. Its bytes are zero at first.
func Commit(b []byte) error {
	_, err := windows.VirtualAlloc(address(b), uintptr(len(b)), windows.MEM_COMMIT, windows.PAGE_READWRITE)
	return err
}

// Release gives what Reserve returned back to the system.
func Release(b []byte) error { return windows.VirtualFree(address(b), 0, windows.MEM_RELEASE) }

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
