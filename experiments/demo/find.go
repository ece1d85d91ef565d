package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Name is that of the model in the binary wherever a model is named. A folder of that name is ./demo.
const Name = "demo"

// Find takes the model out of the binary if name is Name, and returns its folder in the user's cache. Any other name it returns as it is.
func Find(name string) (string, error) {
	if name != Name {
		return name, nil
	}
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(text), text)
		return err
	})
	if err != nil {
		return "", err
	}
	folder := "demo-" + hex.EncodeToString(sum.Sum(nil)[:6])
	cache, err := os.UserCacheDir()
	if err == nil {
		path := filepath.Join(cache, "histdist", folder)
		if err = Extract(path); err == nil {
			return path, nil
		}
	}
	// A machine without a home, or with one that can't be written.
	path := filepath.Join(os.TempDir(), fmt.Sprintf("histdist-%d", os.Getuid()), folder)
	if other := Extract(path); other != nil {
		return "", fmt.Errorf("the model demo can't be taken out of the program: %w; %w", err, other)
	}
	return path, nil
}
