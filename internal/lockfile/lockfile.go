// Package lockfile keeps other processes out of what one writes, such as a training's folder. The system's lock (flock,
// on Windows LockFileEx) ends with its process. On file systems without it (some Lustre, NFS and FUSE mounts) an
// exclusively created file names its owner, and is taken over if that process has died on this machine.
//
// lockfile.go has the lock, exclusive.go its substitute, owner.go who holds it and whether that still runs.
package lockfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/histdist/histdist/internal/flock"
)

// Lock is held until it is closed.
type Lock struct {
	// Note says that the file system has no locks, and what is done instead; "" where it has.
	Note string

	file *os.File // with the system's lock; nil without
	own  exclusive
}

// HeldError is the error of a lock that another process holds.
type HeldError struct {
	Owner Owner
	// Remove is the file to remove if the owner no longer runs, which can't be seen from here; "" if it was seen running.
	Remove string
}

// Error says who holds it, and what to do.
func (e *HeldError) Error() string {
	if e.Remove == "" {
		return e.Owner.String() + " holds it"
	}
	return fmt.Sprintf("%s has locked it and can't be seen from here: if it no longer runs, remove %s",
		e.Owner, e.Remove)
}

// Acquire locks a file, which it creates if needed, without waiting. A *HeldError names the holder.
func Acquire(path string) (*Lock, error) { return acquire(path, flock.Try) }

func acquire(path string, try func(*os.File) error) (_ *Lock, err error) {
	// Users of one group may share the file.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o664)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	own := exclusive{path: path + ".owner", owner: ThisProcess()}
	switch err := try(f); {
	case errors.Is(err, flock.ErrHeld):
		owner := Owner{}
		if text, err := io.ReadAll(io.NewSectionReader(f, flock.Locked, 1<<16)); err == nil {
			owner = parseOwner(append([]byte("{")[:flock.Locked], text...)) // an owner's text begins so
		}
		return nil, &HeldError{Owner: owner}
	case unsupported(err):
		if err := own.create(); err != nil {
			return nil, err
		}
		note := fmt.Sprintf("%s: the file system has no locks (%v); the file %s keeps other runs out", path, err, own.path)
		return &Lock{Note: note, own: own}, f.Close()
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// A program that removes its lock when it gives it up, as Python's filelock may, leaves the lock of a file that
	// nobody else opens any more.
	if !flock.At(f, path) {
		return nil, &HeldError{}
	}
	// Another machine may see the same file system without locks.
	if err := own.check(); err != nil {
		return nil, err
	}
	text, err := own.owner.text()
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	_, err = f.WriteAt(text, 0)
	return &Lock{file: f}, err
}

// Close gives the lock up.
func (l *Lock) Close() error {
	if l.file != nil {
		return l.file.Close()
	}
	return l.own.remove()
}

// unsupported reports whether an error says that a file system has no locks.
func unsupported(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOLCK)
}
