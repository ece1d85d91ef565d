package hostinfo

import (
	"bytes"
	"os"
	"strconv"
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

// readMemory takes the container's limit from version 2 of cgroups, whose root a container sees as its own group.
func readMemory() Memory {
	var m Memory
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Physical = uint64(info.Totalram) * uint64(info.Unit)
	}
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		// "max", which is no number, means that there is no limit.
		if limit, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64); err == nil {
			m.Limit = limit
		}
	}
	return m
}
