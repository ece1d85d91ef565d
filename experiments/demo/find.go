package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of what the binary holds, wherever a model is named. A folder of such a name is written ./demo.
const (
	name            = "demo"              // the trained model
	architecture    = "demo-architecture" // its configurations, to train from nothing
	oldArchitecture = "demo-model"        // their earlier name
)

// Folder returns the folder in the binary with this name, nil if there is none, and a note if the name is outdated.
func Folder(base string) (folder fs.FS, note string) {
	switch base {
	case name:
		return sub("model"), ""
	case oldArchitecture:
		return sub("architecture"), oldArchitecture + " is now called " + architecture
	case architecture:
		return sub("architecture"), ""
	}
	return nil, ""
}

// Find returns the folder of a model. The one in the binary it extracts into the user's cache.
func Find(model string) (string, error) {
	if model != name {
		return model, nil
	}
	sum := sha256.New()
	err := fs.WalkDir(files, "model", func(path string, e fs.DirEntry, err error) error {
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
	folder, err := cached("demo-"+hex.EncodeToString(sum.Sum(nil)[:6]), Extract)
	if err != nil {
		return "", fmt.Errorf("the model demo can't be extracted from the program: %w", err)
	}
	return folder, nil
}

// cached is a folder of the user's cache that fill has filled. Where there is no home, or a read-only one, it is among
// the temporary files.
func cached(name string, fill func(folder string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err == nil {
		path := filepath.Join(cache, "histdist", name)
		if err = fill(path); err == nil {
			return path, nil
		}
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("histdist-%d", os.Getuid()), name)
	if other := fill(path); other != nil {
		return "", fmt.Errorf("%w; %w", err, other)
	}
	return path, nil
}
