package background

import "golang.org/x/sys/unix"

// niceness is the lowest priority of those who share the processor by weight: 15 against the usual 1024. Unlike
// SCHED_IDLE it leaves a share to the work when other programs keep all processors busy.
const niceness = 19

// lower makes the calling thread, and those that it starts, give way to all others. A process may always do so.
func lower() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, niceness) // 0 is the thread; if it fails, the work is only less polite
}
