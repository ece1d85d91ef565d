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
	name := hidden(filepath.Base(path)) + "." + strconv.FormatUint(rand.Uint64(), 36) + temporary
	f, err := os.OpenFile(filepath.Join(filepath.Dir(path), name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &File{f, path}, nil
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
	if err := f.Close(); err != nil {
		return err
	}
	if err := Rename(f.Name(), f.path); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(f.path))
}

// Discard closes and removes the file. After Commit it does nothing.
func (f *File) Discard() {
	_ = f.Close()           // a second time at worst
	_ = os.Remove(f.Name()) // the first error is the one to tell
}

// temporary ends the name of a file that Create began.
const temporary = ".tmp"

// Sweep removes the files of a folder that programs which were killed began to Create. No other program may be writing
// there.
func Sweep(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && strings.HasSuffix(e.Name(), temporary) {
			if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
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
