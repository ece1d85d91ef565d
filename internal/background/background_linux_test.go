package background_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/histdist/histdist/internal/background"
)

// The work has a lower priority, and nothing else has.
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
	if want := min(before+10, 19); inside != want || started != before || priority() != before {
		t.Errorf("inside %d, want %d; a goroutine of it %d and afterwards %d, want %d", inside, want, started, priority(),
			before)
	}
}
