// Package atomicfile writes files and folders that appear whole or not at all, even if the program or machine stops: it
// writes under a hidden name next to the target, syncs and renames.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/histdist/histdist/internal/flock"
)

// Write writes or replaces a file in one step. Errors name the path.
func Write(path string, data []byte) error {
	f, err := Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Commit()
}

// File is a file under its hidden name until Commit gives it its own.
type File struct {
	*os.File
	path string
}

// Create begins a file that Commit puts at path, where it may replace another.
func Create(path string) (*File, error) {
	for range tries {
		name := hidden(filepath.Base(path)) + "." + Host() + thisBoot() + strconv.FormatUint(rand.Uint64(), 36) + temporary
		f, err := os.OpenFile(filepath.Join(filepath.Dir(path), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		// The lock tells Sweep that this process lives. Without locks in the file system there is nothing to tell.
		if !errors.Is(flock.Try(f), flock.ErrHeld) && flock.At(f, f.Name()) {
			return &File{f, path}, nil
		}
		_ = f.Close() // Sweep was faster and has removed it
	}
	return nil, sweptError(path)
}

// tries is how often a file is begun that Sweep removes at the wrong moment.
const tries = 5

func sweptError(path string) error {
	return fmt.Errorf("%s: another program removes what is written there", path)
}

// Commit makes the file durable and puts it at its path. If it fails, the hidden file is removed.
func (f *File) Commit() (err error) {
	defer func() {
		if err != nil {
			f.Discard()
			err = fmt.Errorf("%s: %w", f.path, err)
		}
	}()
	if err := Sync(f.File); err != nil {
		return err
	}
	if !renamesOpen {
		if err := f.Close(); err != nil {
			return err
		}
	}
	if err := Rename(f.Name(), f.path); err != nil { // while it is locked: see Sweep
		return err
	}
	if err := f.Close(); err != nil && renamesOpen {
		return err
	}
	return SyncFolder(filepath.Dir(f.path))
}

// Discard closes and removes the file. After Commit it does nothing.
func (f *File) Discard() {
	_ = f.Close()           // a second time at worst
	_ = os.Remove(f.Name()) // the first error is the one to tell
}

// hidden begins a temporary name: a dot and as much of the name as leaves room, since file systems allow 255 bytes or
// fewer.
func hidden(name string) string {
	const longest = 60
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "")
	}
	return "." + name
}

// Folder creates the folder path, which must not exist, from what fill writes into a temporary folder next to it.
func Folder(path string, fill func(dir string) error) (err error) {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists: name a folder that doesn't", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(parent, hidden(filepath.Base(path))+".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := fill(dir); err != nil {
		return err
	}
	if err := Rename(dir, path); err != nil {
		return err
	}
	return SyncFolder(parent)
}

// Copy copies a file into a folder that Folder fills, and waits until the disk has it.
func Copy(dst, src string) error {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(dst)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, Sync(to), to.Close())
}
