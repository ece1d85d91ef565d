//go:build linux || darwin

package hub

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// freeSpace is the number of bytes that a user may still write on the disk of a folder.
func freeSpace(folder string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// isFull reports whether an error says that a disk, or a user's part of it, is full.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
