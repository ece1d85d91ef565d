package hostinfo

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// cpuModel is the first "model name" of /proc/cpuinfo; not every architecture has one.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func readMemory() Memory {
	m := Memory{Limit: memoryLimit(os.DirFS("/"))}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Physical = uint64(info.Totalram) * uint64(info.Unit)
	}
	return m
}

// AvailableMemory is the memory that can be had without swapping, in bytes; 0 if the system doesn't say.
func AvailableMemory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			var kib int64
			if _, err := fmt.Sscanf(v, "%d kB", &kib); err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
