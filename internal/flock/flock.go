// Package flock takes the system's lock of a file: flock, or LockFileEx on Windows. It ends with the process that has
// it. Some file systems have none, and some only among the processes of one machine.
package flock

import (
	"errors"
	"os"
)

// ErrHeld says that another process has the lock.
var ErrHeld = errors.New("held")

// At reports whether an open file is still the one that a path has. If not, its lock is worth nothing: the program that
// had it before has removed the file.
func At(f *os.File, path string) bool {
	open, errOpen := f.Stat()
	there, errThere := os.Stat(path)
	return errOpen == nil && errThere == nil && os.SameFile(open, there)
}
