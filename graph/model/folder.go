package model

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/hfconfig"
)

// copyFiles copies the files of src that keep accepts. It makes dst.
func copyFiles(dst, src string, keep func(name string) bool) error {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || !keep(e.Name()) {
			continue
		}
		if err := atomicfile.Copy(filepath.Join(dst, e.Name()), filepath.Join(src, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// editJSON sets keys of a file's JSON object and keeps the others, in alphabetical order.
func editJSON(path string, set map[string]any) error {
	text, err := hfconfig.ReadFile(path)
	if err != nil {
		return err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for key, value := range set {
		if keys[key], err = json.Marshal(value); err != nil {
			return fmt.Errorf("%s: %s: %w", path, key, err)
		}
	}
	if text, err = json.MarshalIndent(keys, "", "  "); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
