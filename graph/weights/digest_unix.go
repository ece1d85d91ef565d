//go:build unix

package weights

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func identify(f *os.File) (identity, error) {
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return identity{}, err
	}
	return identity{
		device: uint64(s.Dev), file: s.Ino, size: s.Size, //nolint:unconvert // int32 on macOS
		written: time.Unix(s.Mtim.Unix()), changed: time.Unix(s.Ctim.Unix()),
	}, nil
}
