//go:build !windows

package hostinfo

import (
	"os"
	"strconv"
	"strings"
)

// PeakResident is the largest resident size of the process so far in bytes, 0 where the system does not tell.
func PeakResident() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.Fields(kib)[0], 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}
