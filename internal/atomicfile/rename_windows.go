package atomicfile

import (
	"errors"
	"fmt"
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
		if !passing {
			return err
		}
		if pause > longest/2 {
			return fmt.Errorf("%w A program may have it open", err) // Windows' messages are sentences
		}
		time.Sleep(pause)
	}
}
