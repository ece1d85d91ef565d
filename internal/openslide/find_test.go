package openslide

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The active environment of Python goes first, then the system's loader, then the Python on the path.
func TestUsual(t *testing.T) {
	root := t.TempDir()
	active, other := filepath.Join(root, "active"), filepath.Join(root, "other")
	var want []string
	for _, prefix := range []string{active, other} {
		folder := filepath.Join(prefix, "lib", "python3.11", "site-packages", "openslide_bin")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, "libopenslide.so.1")
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		want = append(want, file)
	}
	want = slices.Insert(want, 1, "libopenslide.so.1", "libopenslide.so.0", "libopenslide.so")
	getenv := func(name string) string { return map[string]string{"VIRTUAL_ENV": active}[name] }
	if diff := cmp.Diff(want, usual("linux", getenv, []string{other})); diff != "" {
		t.Errorf("where the library is looked for (-want +found):\n%s", diff)
	}
	if none := usual("windows", func(string) string { return "" }, nil); !slices.Contains(none, "libopenslide-1.dll") {
		t.Errorf("on Windows: %v", none)
	}
}

func TestPythons(t *testing.T) {
	root := t.TempDir()
	bin := filepath.Join(root, "env", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	python := filepath.Join(bin, "python3")
	if err := os.WriteFile(python, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(root, "python3")
	if err := os.Symlink(python, link); err != nil {
		t.Skip(err)
	}
	found := pythons(func(name string) (string, error) {
		if name == "python3" {
			return link, nil
		}
		return "", fs.ErrNotExist
	})
	real, err := filepath.EvalSymlinks(filepath.Join(root, "env"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{root, real}, found); diff != "" {
		t.Errorf("(-want +found):\n%s", diff)
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	folder := t.TempDir()
	noLibrary := filepath.Join(folder, "x.so")
	if err := os.WriteFile(noLibrary, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, value string
		missing     bool
		want        string
	}{
		{"off", Off, true, "HISTDIST_OPENSLIDE=off"},
		{"no file", filepath.Join(folder, "y.so"), false, "y.so"},
		{"empty folder", folder, false, "libopenslide"},
		{"not a library", noLibrary, false, "x.so"},
	} {
		t.Setenv(Variable, c.value)
		_, err := Load()
		if err == nil || errors.Is(err, ErrMissing) != c.missing || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q, ErrMissing %v", c.name, err, c.want, c.missing)
		}
	}
	_, err := loadFirst([]string{filepath.Join(folder, "y.so"), "libhistdist-does-not-exist.so"})
	if !errors.Is(err, ErrMissing) {
		t.Fatalf("%v, want ErrMissing", err)
	}
	for _, tool := range []string{"apt", "dnf", "brew", "pip"} {
		if !strings.Contains(err.Error(), tool+" install ") {
			t.Errorf("%q doesn't say what to install with %s", err, tool)
		}
	}
}
