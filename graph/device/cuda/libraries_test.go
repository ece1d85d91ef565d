//go:build gpu

package cuda

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// build makes a library of C source.
func build(t *testing.T, path, source string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "library.c")
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(file, []byte(source), 0o644)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", path, file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestLibraries(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	build(t, filepath.Join(second, "libcublasLt.so.12"), "#include <stddef.h>\nsize_t cublasLtGetVersion(void) { return 120103; }")
	build(t, filepath.Join(second, "libcudnn.so.9"), "#include <stddef.h>\nsize_t cudnnGetVersion(void) { return 92801; }")
	build(t, filepath.Join(second, "libnccl.so.2"), "int ncclGetVersion(int *v) { *v = 23203; return 0; }")
	folders := first + string(filepath.ListSeparator) + second
	for _, c := range []struct {
		sought sought
		want   Library
	}{
		{cublasLt, Library{Name: "cuBLASLt", Path: filepath.Join(second, "libcublasLt.so.12"), Version: "12.1.3"}},
		{cuDNN, Library{Name: "cuDNN", Path: filepath.Join(second, "libcudnn.so.9"), Version: "9.28.1"}},
		{nccl, Library{Name: "NCCL", Path: filepath.Join(second, "libnccl.so.2"), Version: "2.32.3"}},
	} {
		for _, driver := range []int{12010, 13000} {
			l, err := c.sought.open(driver, folders)
			if err != nil {
				t.Fatal(err)
			}
			if got := (Library{Name: l.Name, Path: l.Path, Version: l.Version}); got != c.want {
				t.Errorf("got %v, want %v", &got, &c.want)
			}
			if _, err := l.symbol("nobodysFunction"); err == nil || !strings.Contains(err.Error(), l.Path) {
				t.Errorf("a missing function: error %v, want the library's path", err)
			}
		}
	}

	t.Run("of CUDA 13 for a driver that knows it", func(t *testing.T) {
		path := filepath.Join(first, "libcublasLt.so.13")
		build(t, path, "#include <stddef.h>\nsize_t cublasLtGetVersion(void) { return 130100; }")
		for driver, want := range map[int]string{12090: "12.1.3", 13000: "13.1.0"} {
			l, err := cublasLt.open(driver, folders)
			if err != nil {
				t.Fatal(err)
			}
			if l.Version != want {
				t.Errorf("driver %d: got %v, want version %s", driver, l, want)
			}
		}
	})
	t.Run("broken", func(t *testing.T) {
		broken := t.TempDir()
		if err := os.WriteFile(filepath.Join(broken, "libcudnn.so.9"), []byte("no library"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := cuDNN.open(13000, broken); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), filepath.Join(broken, "libcudnn.so.9")) {
			t.Errorf("error %v, want ErrNoLibrary with the file", err)
		}
		l, err := cuDNN.open(13000, broken+string(filepath.ListSeparator)+second)
		if err != nil || l.Path != filepath.Join(second, "libcudnn.so.9") {
			t.Errorf("%v, %v: want the one behind it", l, err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		empty := t.TempDir()
		for driver, wheel := range map[int]string{12040: "nvidia-cublas-cu12", 13000: "nvidia-cublas,"} {
			_, err := cublasLt.open(driver, empty)
			if !errors.Is(err, ErrNoLibrary) {
				t.Fatalf("error %v, want ErrNoLibrary", err)
			}
			for _, part := range []string{empty, "libcublasLt.so.12", "pip install " + wheel, librariesVariable} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %v: want %q in it", err, part)
				}
			}
		}
	})
	t.Run("by the environment", func(t *testing.T) {
		t.Setenv(librariesVariable, second)
		if l, err := nccl.open(13000, ""); err != nil || l.Path != filepath.Join(second, "libnccl.so.2") {
			t.Errorf("%v, %v: want the one of the folder", l, err)
		}
		t.Setenv(librariesVariable, noLibraries)
		if _, err := nccl.open(13000, ""); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "switched off") {
			t.Errorf("error %v, want that it is switched off", err)
		}
	})
}

// TestUsualFolders has a machine whose python3 on the path is a link into an environment, as in images for machine learning.
func TestUsualFolders(t *testing.T) {
	root := t.TempDir()
	venv, home := filepath.Join(root, "torch", ".venv"), filepath.Join(root, "home")
	site := filepath.Join(venv, "lib", "python3.12", "site-packages", "nvidia")
	base := filepath.Join(root, "python", "lib", "python3.12", "site-packages", "nvidia")
	active := filepath.Join(root, "active", "lib", "python3.10", "site-packages", "nvidia", "cudnn", "lib")
	toolkit := filepath.Join(root, "toolkit", "lib64")
	for _, folder := range []string{
		filepath.Join(site, "cu13", "lib"), filepath.Join(site, "cudnn", "lib"), filepath.Join(base, "nccl", "lib"), active, toolkit,
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
	want := []string{toolkit, active, filepath.Join(site, "cudnn", "lib"), filepath.Join(site, "cu13", "lib"), filepath.Join(base, "nccl", "lib")}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("folders (-want +got):\n%s", d)
	}
}

// TestNewestLibrary has a system with cuDNN 9.14 and cuBLASLt 13.0, an environment of Python with later ones of CUDA 13, and one of CUDA 12.
func TestNewestLibrary(t *testing.T) {
	root := t.TempDir()
	library := func(version int) string {
		return fmt.Sprintf("#include <stddef.h>\nsize_t cudnnGetVersion(void) { return %d; }\nsize_t cublasLtGetVersion(void) { return %[1]d; }", version)
	}
	system := filepath.Join(root, "lib")
	link := func(version int, name, suffix string) {
		build(t, filepath.Join(system, name+suffix), library(version))
		if err := os.Symlink(name+suffix, filepath.Join(system, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(91400, "libcudnn.so.9", ".14.0")
	link(130000, "libcublasLt.so.13", ".0.0.19")
	wheel := func(site, folder, file, distInfo string, version int) string {
		lib := filepath.Join(root, site, "nvidia", folder, "lib")
		build(t, filepath.Join(lib, file), library(version))
		if err := os.MkdirAll(filepath.Join(root, site, distInfo), 0o755); err != nil {
			t.Fatal(err)
		}
		return lib
	}
	cudnn13 := wheel("site13", "cudnn", "libcudnn.so.9", "nvidia_cudnn_cu13-9.19.0.56.dist-info", 91900)
	blas13 := wheel("site13", "cu13", "libcublasLt.so.13", "nvidia_cublas-13.1.0.3.dist-info", 130100)
	cudnn12 := wheel("site12", "cudnn", "libcudnn.so.9", "nvidia_cudnn_cu12-9.2.1.18.dist-info", 90201)
	blas12 := wheel("site12", "cublas", "libcublasLt.so.12", "nvidia_cublas_cu12-12.8.4.1.dist-info", 120804)
	unknown := wheel("site", "cudnn", "libcudnn.so.9", "nvidia_nccl_cu13-2.30.7.dist-info", 99999)
	s := search{folders: []string{filepath.Join(root, "nothing"), unknown, system, cudnn12, cudnn13, blas12, blas13}, loader: true}

	for _, c := range []struct {
		sought  sought
		driver  int
		version string
		why     string // in it
	}{
		{cuDNN, 13000, "9.19.0", "the newest; there is 9.14.0 in " + system},
		{cuDNN, 12080, "9.14.0", "the newest; there is 9.2.1.18 in " + cudnn12}, // that of CUDA 13 is none for this driver
		{cublasLt, 13000, "13.1.0", "the newest; there is 13.0.0.19 in " + system + ", 12.8.4.1 in " + blas12},
		{cublasLt, 12080, "12.8.4", "the only one"},
	} {
		l, err := c.sought.openIn(s, c.driver)
		if err != nil {
			t.Fatal(err)
		}
		if l.Version != c.version || !strings.Contains(l.Why, c.why) {
			t.Errorf("%s for a driver of CUDA %d: %v: %s: want %s: %s", c.sought.name, c.driver, l, l.Why, c.version, c.why)
		}
	}
	t.Run("a folder that the user names is before all", func(t *testing.T) {
		s := s
		s.named, s.by = []string{filepath.Join(root, "nothing"), cudnn12, cudnn13}, loaderVariable
		l, err := cuDNN.openIn(s, 13000)
		if err != nil {
			t.Fatal(err)
		}
		if l.Path != filepath.Join(cudnn12, "libcudnn.so.9") || l.Why != "by "+loaderVariable {
			t.Errorf("%v: %s: want that of %s", l, l.Why, cudnn12)
		}
	})
	t.Run("the newest does not open", func(t *testing.T) {
		s := s
		broken := filepath.Join(t.TempDir(), "libcudnn.so.9.30.1")
		if err := errors.Join(os.WriteFile(broken, []byte("no library"), 0o644), os.Symlink(broken, filepath.Join(filepath.Dir(broken), "libcudnn.so.9"))); err != nil {
			t.Fatal(err)
		}
		s.folders = append([]string{filepath.Dir(broken)}, s.folders...)
		l, err := cuDNN.openIn(s, 13000)
		if err != nil {
			t.Fatal(err)
		}
		if l.Version != "9.19.0" || !strings.Contains(l.Why, "1 doesn't open") {
			t.Errorf("%v: %s", l, l.Why)
		}
	})
}

// TestPartsOfOneFolder: cuDNN opens its parts by name, and parts want others. The loader must not take them from elsewhere.
func TestPartsOfOneFolder(t *testing.T) {
	folder := t.TempDir()
	graph := filepath.Join(folder, "libcudnn_graph.so.9")
	build(t, graph, "int nothing;")
	build(t, filepath.Join(folder, "libcudnn.so.9"), "#include <stddef.h>\nsize_t cudnnGetVersion(void) { return 91900; }")
	if _, err := cuDNN.openIn(search{named: []string{folder}}, 13000); err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(maps), graph) {
		t.Errorf("%s is not open", graph)
	}
}
