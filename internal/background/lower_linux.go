package background

import "golang.org/x/sys/unix"

// Niceness of Linux: 10 steps less of the processor's time, a tenth, than others get who want it at the same time; 19
// is the end of the scale. With all 19 steps, and other programs of low priority on the machine, the work stood still
// wherever it was, and the collector of garbage and so all requests waited for it: of tiles that had to be made, one in
// a hundred took 1.2 s, with 10 steps 0.2 s.
const (
	steps = 10
	last  = 19
)

// lower makes the calling thread, and those that it starts, give way to others. A process may always do so.
func lower() {
	const thisThread = 0
	now, err := unix.Getpriority(unix.PRIO_PROCESS, thisThread) // 20 − niceness, as the system call has it
	if err != nil {
		return // the work is only less polite
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, thisThread, min(last, 20-now+steps)) // the same
}
