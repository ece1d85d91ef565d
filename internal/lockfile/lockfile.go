// Package lockfile keeps other processes away from what one of them writes, such as the folder of a training. The system's lock (flock) ends
// with its process in whatever way. File systems without it (some Lustre, NFS and FUSE mounts) get a file that one process alone can
// make, with its owner in it: one whose process has died on this machine is taken over.
//
// lockfile.go has the lock, exclusive.go the file that stands in for it, owner.go who holds one and whether it still runs.
package lockfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
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
	// Remove is the file to remove if the owner doesn't run any more, which can't be seen from here; "" where it was seen to run.
	Remove string
}

// Error says who holds it, and what to do.
func (e *HeldError) Error() string {
	if e.Remove == "" {
		return e.Owner.String() + " holds it"
	}
	return fmt.Sprintf("%s has locked it; whether that still runs can't be seen from here: if it doesn't, remove %s", e.Owner, e.Remove)
}

var errHeld = errors.New("held")

// Acquire takes the lock of a file, which is made if it isn't there and stays; it does not wait. A *HeldError says who has it.
func Acquire(path string) (*Lock, error) { return acquire(path, flock) }

func acquire(path string, flock func(*os.File) error) (_ *Lock, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	own := exclusive{path: path + ".owner", owner: thisProcess()}
	switch err := flock(f); {
	case errors.Is(err, errHeld):
		owner := Owner{}
		if text, err := io.ReadAll(f); err == nil {
			owner = parseOwner(text)
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
