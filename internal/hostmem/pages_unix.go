//go:build unix

package hostmem

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reserve returns so many addresses, 1 or more, from the beginning of a page on, that can't be read or written yet.
// They take no memory.
func Reserve(bytes int) ([]byte, error) {
	return unix.Mmap(-1, 0, bytes, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
}

// Commit lets a part of what Reserve returned be read and written. Its bytes are zero at first.
func Commit(b []byte) error {
	p := unsafe.Pointer(unsafe.SliceData(b))
	before := int(uintptr(p) % uintptr(os.Getpagesize())) // the system wants whole pages
	pages := unsafe.Slice((*byte)(unsafe.Add(p, -before)), before+len(b))
	return unix.Mprotect(pages, unix.PROT_READ|unix.PROT_WRITE)
}

// Release gives what Reserve returned back to the system.
func Release(b []byte) error { return unix.Munmap(b) }
