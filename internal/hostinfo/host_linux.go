package hostinfo

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func cpuModel() string { return modelOf(readFile(os.DirFS("/"), "proc/cpuinfo")) }

// armParts are Arm's own designs for servers and small computers; other makers number theirs themselves.
var armParts = map[string]string{
	"0xd08": "Cortex-A72", "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1", "0xd40": "Neoverse-V1", "0xd49": "Neoverse-N2",
	"0xd4f": "Neoverse-V2", "0xd83": "Neoverse-V3",
}

// modelOf is the first "model name" of /proc/cpuinfo, or what arm64 has instead: the numbers of the maker and of the
// part. Not every architecture has either.
func modelOf(cpuinfo string) string {
	facts := map[string]string{}
	for line := range strings.Lines(cpuinfo) {
		key, value, _ := strings.Cut(line, ":")
		if key = strings.TrimSpace(key); facts[key] == "" {
			facts[key] = strings.TrimSpace(value)
		}
	}
	maker, part := facts["CPU implementer"], facts["CPU part"]
	switch {
	case facts["model name"] != "" || maker == "":
		return facts["model name"]
	case maker == "0x41" && armParts[part] != "":
		return armParts[part]
	}
	return "part " + part + " of implementer " + maker
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
