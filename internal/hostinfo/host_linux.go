package hostinfo

import (
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
