package weights

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// mapPrivate maps the first bytes of a file. Windows sets space for all of them aside in its paging file, since all may
// be written to, but no memory.
func mapPrivate(f *os.File, bytes int) ([]byte, error) {
	h, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_WRITECOPY, 0, 0, nil)
	if err != nil {
		return nil, err
	}
	p, err := windows.MapViewOfFile(h, windows.FILE_MAP_COPY, 0, 0, uintptr(bytes))
	if err := errors.Join(err, windows.CloseHandle(h)); err != nil { // the view holds the file
		return nil, err
	}
	// Not by unsafe.Pointer(p), which go vet takes for the address of a Go value that may have moved.
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), bytes), nil
}

func unmap(b []byte) error { return windows.UnmapViewOfFile(address(b)) }

// forgetful says that pages of a file which have been dropped have the file's bytes again, whatever was written to them.
const forgetful = false

// dropFile and dropZero give pages back to the system: those of a file, and those of memory, which is zero then.
func dropFile(pages []byte) error {
	// Of pages that aren't locked it takes the memory: https://learn.microsoft.com/windows/win32/api/memoryapi
	if err := windows.VirtualUnlock(address(pages), uintptr(len(pages))); !errors.Is(err, windows.ERROR_NOT_LOCKED) {
		return err
	}
	return nil
}

func dropZero(pages []byte) error {
	p, n := address(pages), uintptr(len(pages))
	if err := windows.VirtualFree(p, n, windows.MEM_DECOMMIT); err != nil {
		return err
	}
	_, err := windows.VirtualAlloc(p, n, windows.MEM_COMMIT, windows.PAGE_READWRITE)
	return err
}
