package lockfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

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
	for range 3 {
		if made, err := atomicfile.WriteNew(x.path, text); made || err != nil {
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
		return x.takeOver(text, found)
	}
	return &HeldError{}
}

// takeOver replaces a dead owner's file if it is unchanged. The guard file lets one process at a time do so.
func (x exclusive) takeOver(text, found []byte) (err error) {
	guard := x.path + ".takeover"
	made, err := atomicfile.WriteNew(guard, text)
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
	return atomicfile.Write(x.path, text)
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
