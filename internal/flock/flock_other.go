//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package flock

import (
	"errors"
	"os"
)

// Locked is how many of a file's first bytes others can't read while it is locked.
const Locked = 0

// Try takes the lock of a file: here it can't.
func Try(*os.File) error { return errors.ErrUnsupported }
