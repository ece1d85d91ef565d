package flock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Locked is how many of a file's first bytes have the lock, and can't be read by others: as many as Python's filelock
// locks.
const Locked = 1

// Try takes the lock of a file without waiting, or returns ErrHeld.
func Try(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, Locked, 0, &windows.Overlapped{})
	switch {
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION):
		return ErrHeld
	case errors.Is(err, windows.ERROR_INVALID_FUNCTION), errors.Is(err, windows.ERROR_NOT_SUPPORTED):
		return errors.ErrUnsupported // by some network drives
	}
	return err
}
