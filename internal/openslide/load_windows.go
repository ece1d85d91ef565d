//go:build amd64 || arm64

package openslide

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

func dlopen(path string) (uintptr, error) {
	var flags uintptr
	if filepath.IsAbs(path) { // what the library needs lies next to it
		flags = windows.LOAD_WITH_ALTERED_SEARCH_PATH
	}
	handle, err := windows.LoadLibraryEx(path, 0, flags)
	return uintptr(handle), err
}

func symbol(handle uintptr, name string) (uintptr, error) {
	return windows.GetProcAddress(windows.Handle(handle), name)
}

func loadedFrom(path string) string { return path }
