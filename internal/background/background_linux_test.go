package background_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/histdist/histdist/internal/background"
)

// The work has the lowest priority, and nothing else has.
func TestPriority(t *testing.T) {
	priority := func() int {
		p, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			t.Error(err)
		}
		return 20 - p // as the system call has it
	}
	before := priority()
	var inside, started int
	background.Run(func() {
		inside = priority()
		done := make(chan struct{})
		go func() { // a goroutine of its own
			defer close(done)
			started = priority()
		}()
		<-done
	})
	if inside != 19 || started != before || priority() != before {
		t.Errorf("inside %d, want 19; a goroutine of it %d and afterwards %d, want %d", inside, started, priority(), before)
	}
}
