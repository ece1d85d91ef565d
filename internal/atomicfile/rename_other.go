//go:build !windows

package atomicfile

import "os"

// Rename renames a file or folder; a file may replace another.
func Rename(from, to string) error { return os.Rename(from, to) }
