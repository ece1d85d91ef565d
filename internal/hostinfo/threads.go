package hostinfo

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Threads is a device's default number of threads.
type Threads struct {
	Count  int
	Reason string // where the count comes from, in a user's words
}

// DefaultThreads is one thread for each processor that this process may run on, or as many as its control groups' quota
// of time keeps busy; the environment's GOMAXPROCS precedes both.
func DefaultThreads() Threads {
	return threadsFor(os.DirFS("/"), runtime.NumCPU(), os.Getenv("GOMAXPROCS"))
}

// threadsFor is DefaultThreads for the root of a file system, so many usable processors, and a value of GOMAXPROCS. A
// quota of 2.5 processors makes three threads, which use it up; two would not.
func threadsFor(root fs.FS, usable int, gomaxprocs string) Threads {
	if n, err := strconv.Atoi(gomaxprocs); err == nil && n > 0 {
		return Threads{n, "from GOMAXPROCS"}
	}
	if quota, file := cpuQuota(root); quota > 0 && quota < float64(usable) {
		return Threads{int(math.Ceil(quota)), fmt.Sprintf("from the limit of %.4g cores in %s", quota, file)}
	}
	if online := countList(readLine(root, "sys/devices/system/cpu/online")); usable < online {
		return Threads{usable, fmt.Sprintf("from the CPU affinity (taskset, cpuset): the machine has %d cores", online)}
	}
	return Threads{usable, "one for each core"}
}

// countList counts the numbers in a list such as 0-3,8,10-11; 0 if it is none.
func countList(list string) int {
	count := 0
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return 0
		}
		to, err := strconv.ParseUint(last, 10, 16)
		if err != nil || to < from {
			return 0
		}
		count += int(to-from) + 1
	}
	return count
}
