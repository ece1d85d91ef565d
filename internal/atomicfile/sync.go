package atomicfile

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// Sync waits until the disk has a file. File systems that can't say so (some FUSE and network mounts) are left to themselves.
func Sync(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// SyncFolder waits until the disk has the names in a folder, which makes a renaming last. A folder that can't be opened for reading, and
// any on Windows, is left to its file system.
func SyncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(folder)
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(Sync(f), f.Close())
}
