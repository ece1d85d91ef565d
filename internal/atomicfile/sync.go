package atomicfile

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// Sync flushes a file to disk. File systems that can't (some FUSE and network mounts) are ignored.
func Sync(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// SyncFolder flushes a folder's names to disk, which makes a rename durable. A folder that can't be opened, and any on
// Windows, is ignored.
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
