package hostinfo

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// cpuModel is what Windows' own tools show.
func cpuModel() string {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `HARDWARE\DESCRIPTION\System\CentralProcessor\0`, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer key.Close()
	model, _, err := key.GetStringValue("ProcessorNameString")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(model)
}

func readMemory() Memory { return Memory{Physical: readMemoryStatus().physical} }

// AvailableMemory is the memory that can be had without swapping, in bytes; 0 if the system doesn't say.
func AvailableMemory() int64 { return int64(readMemoryStatus().available) }

// memoryStatus is Windows' MEMORYSTATUSEX.
type memoryStatus struct {
	size, load          uint32
	physical, available uint64
	_                   [5]uint64 // of the paging file and of addresses
}

var globalMemoryStatusEx = windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")

// readMemoryStatus returns zeros if the call fails.
func readMemoryStatus() memoryStatus {
	var s memoryStatus
	s.size = uint32(unsafe.Sizeof(s))
	if ok, _, _ := globalMemoryStatusEx.Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return memoryStatus{}
	}
	return s
}
