package walk

import "os"

// SameFile reports whether two paths lead to one file or folder. Of a path that leads nowhere it reports false.
func SameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}
