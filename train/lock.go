package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked is the error of a run whose folder another run writes to.
var ErrLocked = errors.New("another run writes to the folder")

// lock keeps other runs out of a folder until the file is closed, or the process ends in whatever way.
func lock(folder string) (*os.File, error) {
	path := filepath.Join(folder, ".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			owner := "unknown"
			if text, err := os.ReadFile(path); err == nil {
				owner = strings.TrimSpace(string(text))
			}
			err = fmt.Errorf("%s: %w (process %s)", folder, ErrLocked, owner)
		} else {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return nil, errors.Join(err, f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, nil
}
