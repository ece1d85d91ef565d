package lockfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"

	"github.com/histdist/histdist/internal/atomicfile"
)

// exclusive is a file that one process alone can make, with its owner in it.
type exclusive struct {
	path  string
	owner Owner
}

// create creates the file, or takes over that of a dead owner. A *HeldError names the holder.
func (x exclusive) create() error {
	text, err := x.owner.text()
	if err != nil {
		return err
	}
	// The file appears with its content: a link to one that is written.
	written := x.path + "." + strconv.FormatUint(rand.Uint64(), 36)
	if err := os.WriteFile(written, text, 0o644); err != nil {
		return err
	}
	defer func() { _ = os.Remove(written) }() // a link remains, or nothing does
	for range 3 {
		if made, err := link(written, x.path, text); made || err != nil {
			return err
		}
		found, err := x.read()
		if err != nil {
			return err
		}
		if found == nil { // it was given up in between
			continue
		}
		if err := x.check(); err != nil {
			return err
		}
		return x.takeOver(written, text, found)
	}
	return &HeldError{}
}

// link gives a written file a second name, unless it is taken.
func link(written, path string, text []byte) (made bool, err error) {
	err = os.Link(written, path)
	if err == nil || sameFile(written, path) { // NFS may answer that it exists to a call that it repeats
		return true, nil
	}
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) // a file system without links
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return false, errors.Join(err, os.Remove(path))
	}
	return true, nil
}

// takeOver replaces a dead owner's file if it is unchanged. The guard file lets one process at a time do so.
func (x exclusive) takeOver(written string, text, found []byte) (err error) {
	guard := x.path + ".takeover"
	made, err := link(written, guard, text)
	if err != nil {
		return err
	}
	if !made {
		return &HeldError{Remove: guard}
	}
	defer func() { err = errors.Join(err, os.Remove(guard)) }()
	now, err := x.read()
	if err != nil {
		return err
	}
	if !bytes.Equal(now, found) {
		return &HeldError{Owner: parseOwner(now)}
	}
	mine := written + ".new" // a name of its own: renaming one link of a file to another does nothing
	if err := os.WriteFile(mine, text, 0o644); err != nil {
		return err
	}
	return atomicfile.Rename(mine, x.path)
}

// check returns a *HeldError if the file is there and its owner hasn't died for sure.
func (x exclusive) check() error {
	text, err := x.read()
	if err != nil || text == nil {
		return err
	}
	owner := parseOwner(text)
	switch owner.state(x.owner) {
	case dead:
		return nil
	case running:
		return &HeldError{Owner: owner}
	}
	return &HeldError{Owner: owner, Remove: x.path}
}

// read returns the file's content; nil if it isn't there.
func (x exclusive) read() ([]byte, error) {
	text, err := os.ReadFile(x.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// remove removes the file if it is still this process's.
func (x exclusive) remove() error {
	text, err := x.read()
	if err != nil {
		return err
	}
	if mine, err := x.owner.text(); err != nil || !bytes.Equal(text, mine) {
		return fmt.Errorf("%s: the lock was taken away while it was held", x.path)
	}
	return os.Remove(x.path)
}

func sameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}
