package hostmem

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// adviseHuge is a hint: where the system refuses it, ordinary pages do.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }

// available is the memory that can be had without swapping, in bytes; 0 if the system doesn't say.
func available() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "MemAvailable:"); ok {
			var kib int64
			if _, err := fmt.Sscanf(v, "%d kB", &kib); err == nil {
				return kib << 10
			}
		}
	}
	return 0
}
