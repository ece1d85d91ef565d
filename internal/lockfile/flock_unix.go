//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package lockfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// locked is how many of a file's first bytes others can't read while it is locked.
const locked = 0

// flock takes the system's lock of a file; errHeld says that another has it.
func flock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errHeld
	}
	return err
}

// runs reports whether there is a process of this number.
func runs(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }
