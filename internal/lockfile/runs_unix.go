//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package lockfile

import (
	"errors"

	"golang.org/x/sys/unix"
)

// runs reports whether there is a process of this number.
func runs(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }
