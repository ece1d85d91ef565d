package atomicfile

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// Rename renames a file or folder; a file may replace another. Windows refuses that while a program has one of them
// open, as virus scanners and indexers have new files for a moment: it is tried for two seconds.
func Rename(from, to string) (err error) {
	const longest = 2 * time.Second
	for pause := time.Millisecond; ; pause *= 2 {
		err = os.Rename(from, to)
		passing := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !passing || pause > longest/2 {
			return err
		}
		time.Sleep(pause)
	}
}
