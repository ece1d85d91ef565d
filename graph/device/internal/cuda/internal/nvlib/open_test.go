//go:build gpu

package nvlib

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build makes a library of C source.
func build(t *testing.T, path, source string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "library.c")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", path, file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestOpen opens libraries with the system's loader.
func TestOpen(t *testing.T) {
	folder := t.TempDir()
	cudnn, graph := filepath.Join(folder, "libcudnn.so.9"), filepath.Join(folder, "libcudnn_graph.so.9")
	nccl := filepath.Join(folder, "libnccl.so.2")
	build(t, cudnn, "#include <stddef.h>\nsize_t cudnnGetVersion(void) { return 92801; }")
	build(t, graph, "int nothing;")
	build(t, nccl, "int ncclGetVersion(int *v) { *v = 23203; return 0; }")
	t.Setenv(FoldersVariable, folder)
	for _, c := range []struct {
		spec          LibrarySpec
		path, version string
	}{
		{CuDNN, cudnn, "9.28.1"},
		{NCCL, nccl, "2.32.3"},
	} {
		l, err := c.spec.Open(13000)
		if err != nil {
			t.Fatal(err)
		}
		if l.Path != c.path || l.Version != c.version {
			t.Errorf("got %v, want version %s in %s", l, c.version, c.path)
		}
		if _, err := l.Symbol("nobodysFunction"); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), l.Path) {
			t.Errorf("a missing function: error %v, want ErrNoLibrary with the library's path", err)
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(maps), graph) {
		t.Errorf("%s is not open", graph)
	}

	broken := filepath.Join(t.TempDir(), "libcudnn.so.9")
	if err := os.WriteFile(broken, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(FoldersVariable, filepath.Dir(broken))
	if _, err := CuDNN.Open(13000); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), broken) {
		t.Errorf("error %v, want ErrNoLibrary with the file", err)
	}
}
