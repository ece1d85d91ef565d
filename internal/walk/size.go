package walk

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
)

// Size returns the bytes of the files in a folder and below it, without links. A file that
// vanishes meanwhile, or a folder that doesn't exist, has none. The first error is returned with the sum of the rest.
func Size(folder string) (bytes int64, failed error) {
	// The function below returns no error.
	_ = filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				bytes += info.Size()
			}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			failed = cmp.Or(failed, err)
		}
		return nil
	})
	return bytes, failed
}
