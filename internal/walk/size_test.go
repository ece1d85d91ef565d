package walk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/internal/walk"
)

func TestSize(t *testing.T) {
	dir := t.TempDir()
	for name, n := range map[string]int{"a": 3, "b/c": 5, "b/d/e": 7} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for folder, want := range map[string]int64{dir: 15, filepath.Join(dir, "b"): 12, filepath.Join(dir, "none"): 0} {
		if n, err := walk.Size(folder); n != want || err != nil {
			t.Errorf("%s: %d bytes, %v; want %d", folder, n, err, want)
		}
	}
}
