//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package lockfile

// runs is true: it isn't known, and what may run is left alone.
func runs(int) bool { return true }
