package train

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/histdist/histdist/internal/lockfile"
)

// ErrLocked is the error of a run whose folder another run writes to.
var ErrLocked = errors.New("another run writes to the folder")

// lock keeps other runs out of a folder until it is closed or the process ends.
func lock(folder string) (*lockfile.Lock, error) {
	l, err := lockfile.Acquire(filepath.Join(folder, ".lock"))
	var held *lockfile.HeldError
	if errors.As(err, &held) {
		err = fmt.Errorf("%s: %w: %w", folder, ErrLocked, held)
	}
	return l, err
}
