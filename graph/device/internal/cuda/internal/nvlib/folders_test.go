package nvlib

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUsualFolders has a machine whose python3 on the path is a link into an environment, as in images for machine
// learning.
func TestUsualFolders(t *testing.T) {
	root := t.TempDir()
	venv, home := filepath.Join(root, "torch", ".venv"), filepath.Join(root, "home")
	site := filepath.Join(venv, "lib", "python3.12", "site-packages", "nvidia")
	base := filepath.Join(root, "python", "lib", "python3.12", "site-packages", "nvidia")
	active := filepath.Join(root, "active", "lib", "python3.10", "site-packages", "nvidia", "cudnn", "lib")
	toolkit := filepath.Join(root, "toolkit", "lib64")
	for _, folder := range []string{
		filepath.Join(site, "cu13", "lib"), filepath.Join(site, "cudnn", "lib"), filepath.Join(base, "nccl", "lib"),
		active, toolkit,
		filepath.Join(root, "python", "bin"), filepath.Join(venv, "bin"), filepath.Join(root, "bin"), home,
	} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	python := filepath.Join(root, "python", "bin", "python3")
	if err := errors.Join(
		os.WriteFile(python, nil, 0o755),
		os.Symlink("../../../python/bin/python3", filepath.Join(venv, "bin", "python3")), // as an environment links
		os.Symlink(filepath.Join(venv, "bin", "python3"), filepath.Join(root, "bin", "python3")),
	); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"CUDA_PATH": filepath.Join(root, "toolkit"), "VIRTUAL_ENV": filepath.Join(root, "active"), "HOME": home,
		"PATH": filepath.Join(root, "nothing") + ":" + filepath.Join(root, "bin"),
	}
	got := usualFolders(func(name string) string { return env[name] }, filepath.Glob)
	got = slices.DeleteFunc(got, func(f string) bool { return !strings.HasPrefix(f, root) })
	want := []string{
		toolkit, active,
		filepath.Join(site, "cudnn", "lib"), filepath.Join(site, "cu13", "lib"), filepath.Join(base, "nccl", "lib"),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("folders (-want +got):\n%s", d)
	}
}
