package model_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/internal/golden"
)

// Digests that are kept save reading the weights, but hold only as long as the files are the same.
func TestDigestsAreKept(t *testing.T) {
	const weightsFile = "unet/diffusion_pytorch_model.safetensors"
	phikon := golden.Path(t, "tiny-phikon")
	long, never := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, 0)
	var cache string
	at := func(t *testing.T, dir string, now time.Time, forge bool) string {
		t.Helper()
		m, err := model.Open(dir, model.Options{Phikon: phikon})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if forge {
			if err := m.ForgeDigests(cache); err != nil {
				t.Fatal(err)
			}
		}
		id, err := m.FingerprintAt(cache, now)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	kept := func(t *testing.T) int {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(cache, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	for name, test := range map[string]struct {
		change func(t *testing.T, path string) // of the weights' file, between two runs
		forged bool                            // the second run takes what is kept
	}{
		"untouched": {func(*testing.T, string) {}, true},
		"rewritten, with the time of before": {func(t *testing.T, path string) {
			info, err := os.Stat(path)
			if err == nil {
				var text []byte
				if text, err = os.ReadFile(path); err == nil {
					text[len(text)-1] ^= 1
					err = os.WriteFile(path, text, 0o644)
				}
			}
			if err == nil {
				err = os.Chtimes(path, info.ModTime(), info.ModTime())
			}
			if err != nil {
				t.Fatal(err)
			}
		}, false},
		"replaced": {func(t *testing.T, path string) {
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path+".new", text, 0o644)
			}
			if err == nil {
				err = os.Rename(path+".new", path)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, golden.Path(t, "tiny"))
			cache = filepath.Join(t.TempDir(), "digests")
			want := at(t, dir, never, false)
			if n := kept(t); n != 0 {
				t.Errorf("%d digests of files that changed just before are kept", n)
			}
			if got := at(t, dir, long, false); got != want {
				t.Errorf("fingerprint %s with a cache, %s without", got, want)
			}
			if n := kept(t); n != 4 {
				t.Errorf("%d digests are kept, want those of 4 networks", n)
			}
			if got := at(t, dir, long, false); got != want {
				t.Errorf("fingerprint %s of what is kept, want %s", got, want)
			}
			before := at(t, dir, long, true) // what is kept is read
			if before == want {
				t.Error("what is kept is not read")
			}
			test.change(t, filepath.Join(dir, weightsFile))
			if got := at(t, dir, long, false); (got == before) != test.forged {
				t.Errorf("fingerprint %s, of the kept digests %s", got, before)
			}
		})
	}
	t.Run("damaged", func(t *testing.T) {
		dir := copyOf(t, golden.Path(t, "tiny"))
		cache = filepath.Join(t.TempDir(), "digests")
		want := at(t, dir, long, false)
		files, err := filepath.Glob(filepath.Join(cache, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		for i, path := range files {
			if err := os.Truncate(path, int64(i*30)); err != nil { // 0, within the seal, within the digest
				t.Fatal(err)
			}
		}
		if got := at(t, dir, long, false); got != want {
			t.Errorf("fingerprint %s of damaged files, want %s", got, want)
		}
	})
}
