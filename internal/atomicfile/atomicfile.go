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
func Write(path string, data []byte) (err error) {
	folder, name := filepath.Dir(path), filepath.Base(path)
	temporary := filepath.Join(folder, hidden(name)+"."+strconv.FormatUint(rand.Uint64(), 36)+".tmp")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()            // a second time at worst
			_ = os.Remove(temporary) // the first error is the one to tell
			err = fmt.Errorf("%s: %w", path, err)
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := Sync(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return SyncFolder(folder)
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
	if err := os.Rename(dir, path); err != nil {
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
