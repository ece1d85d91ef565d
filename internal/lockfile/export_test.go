package lockfile

import "os"

// AcquireWithout is Acquire on a file system whose locks fail.
func AcquireWithout(path string, err error) (*Lock, error) {
	return acquire(path, func(*os.File) error { return err })
}

// Started is what a lock says of the start of a process.
func Started(pid int) string { return started(pid) }
