//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package flock

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Locked is how many of a file's first bytes others can't read while it is locked.
const Locked = 0

// Try takes the lock of a file without waiting, or returns ErrHeld.
func Try(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrHeld
		case !errors.Is(err, unix.EINTR): // which the runtime's signals cause on some file systems
			return err
		}
	}
}
