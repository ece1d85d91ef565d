package hostinfo

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

var getProcessMemoryInfo = windows.NewLazySystemDLL("kernel32.dll").NewProc("K32GetProcessMemoryInfo")

// PeakResident is the largest resident size of the process so far in bytes, 0 where the system does not tell.
func PeakResident() int64 {
	var counters struct { // PROCESS_MEMORY_COUNTERS
		size, _ uint32
		peak    uintptr
		_       [7]uintptr
	}
	counters.size = uint32(unsafe.Sizeof(counters))
	ok, _, _ := getProcessMemoryInfo.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&counters)),
		uintptr(counters.size))
	if ok == 0 {
		return 0
	}
	return int64(counters.peak)
}
