package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// WriteNew writes a file that nobody has made: of several processes that try, on any machines, one makes it. It appears
// with its content, for processes; after a power failure it may be empty, unless Flush came before. Relied on are that
// link is atomic, as on NFS from version 2 on, or, on file systems without links, that O_EXCL is, as on NFS from
// version 3 on; there the content follows after the name.
func WriteNew(path string, data []byte) (made bool, err error) {
	err = written(path, data, func(name string) (err error) {
		made, err = link(name, path, data)
		return err
	})
	return made, err
}

// WriteSoon writes or replaces a file in one step, as Write does, but doesn't wait for the disk: after a power failure
// it may be empty.
func WriteSoon(path string, data []byte) error {
	return written(path, data, func(name string) error { return Rename(name, path) })
}

// written writes a file under its hidden name and has it placed: closed, for some errors come then. A closed file has
// no lock, so that Sweep may be faster.
func written(path string, data []byte, place func(name string) error) error {
	for range tries {
		f, err := Create(path)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if err = errors.Join(err, f.Close()); err == nil {
			err = place(f.Name())
		}
		f.Discard() // its name: a link remains, or nothing does
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return sweptError(path)
}

// Flush waits until the disk has a file.
func Flush(path string) error {
	flag := os.O_RDONLY // it may be another user's
	if runtime.GOOS == "windows" {
		flag = os.O_RDWR // else it can't be flushed
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(Sync(f), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return SyncFolder(filepath.Dir(path))
}

// link gives a written file a second name, unless it is taken.
func link(written, path string, data []byte) (made bool, err error) {
	err = os.Link(written, path)
	if err == nil || sameFile(written, path) { // NFS may answer that it exists to a call that it repeats
		return true, nil
	}
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) // a file system without links
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return false, errors.Join(err, os.Remove(path))
	}
	return true, nil
}

func sameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}

// Revisit makes clients of NFS look at a folder's names again, of which they may remember for a minute that there was
// no such file: until they change the folder themselves.
func Revisit(folder string) {
	if f, err := Create(filepath.Join(folder, "probe")); err == nil { // else it isn't changed by this machine
		f.Discard()
	}
}
