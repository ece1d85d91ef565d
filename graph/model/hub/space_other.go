//go:build !(linux || darwin || windows)

package hub

import "errors"

// freeSpace isn't known.
func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }

// isFull is false: it isn't known.
func isFull(error) bool { return false }
