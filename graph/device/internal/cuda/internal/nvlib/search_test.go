package nvlib

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// files is a loader of text files: a line "FUNCTION NUMBER" is a function that returns the number, and a file without
// any doesn't open.
type files struct {
	opened []string // paths, with "global " before them where that was asked for
	text   map[unsafe.Pointer]string
}

func (l *files) open(name string, global bool) (unsafe.Pointer, string, error) {
	text, err := os.ReadFile(name)
	if err != nil || !filepath.IsAbs(name) {
		return nil, "", fmt.Errorf("%s: cannot open shared object file", name)
	}
	if !strings.Contains(string(text), " ") {
		return nil, "", fmt.Errorf("%s: invalid ELF header", name)
	}
	handle := unsafe.Pointer(new(int64))
	if l.text == nil {
		l.text = map[unsafe.Pointer]string{}
	}
	l.text[handle] = string(text)
	if global {
		name = "global " + name
	}
	l.opened = append(l.opened, name)
	return handle, strings.TrimPrefix(name, "global "), nil
}

func (l *files) version(handle unsafe.Pointer, f versionFunction) int {
	for line := range strings.Lines(l.text[handle]) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(number); err == nil && name == f.name {
			return n
		}
	}
	return 0
}

func (l *files) symbol(handle unsafe.Pointer, name string) unsafe.Pointer {
	if strings.Contains(l.text[handle], name) {
		return handle
	}
	return nil
}

// write makes a file with its folder.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestLibraries(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	write(t, filepath.Join(second, "libcublasLt.so.12"), "cublasLtGetVersion 120103")
	write(t, filepath.Join(second, "libcudnn.so.9"), "cudnnGetVersion 92801")
	write(t, filepath.Join(second, "libnccl.so.2"), "ncclGetVersion 23203")
	in := func(t *testing.T, folders ...string) {
		t.Helper()
		t.Setenv(FoldersVariable, strings.Join(folders, string(filepath.ListSeparator)))
	}
	in(t, first, second)
	for _, c := range []struct {
		spec LibrarySpec
		want Library
	}{
		{CUBLASLt, Library{Name: "cuBLASLt", Path: filepath.Join(second, "libcublasLt.so.12"), Version: "12.1.3"}},
		{CuDNN, Library{Name: "cuDNN", Path: filepath.Join(second, "libcudnn.so.9"), Version: "9.28.1"}},
		{NCCL, Library{Name: "NCCL", Path: filepath.Join(second, "libnccl.so.2"), Version: "2.32.3"}},
	} {
		for _, driver := range []int{12010, 13000} {
			l, err := c.spec.openWith(&files{}, driver)
			if err != nil {
				t.Fatal(err)
			}
			if got := (Library{Name: l.Name, Path: l.Path, Version: l.Version}); got != c.want {
				t.Errorf("got %v, want %v", &got, &c.want)
			}
			if _, err := l.Symbol("nobodysFunction"); err == nil || !strings.Contains(err.Error(), l.Path) {
				t.Errorf("a missing function: error %v, want the library's path", err)
			}
		}
	}

	t.Run("of CUDA 13 for a driver that knows it", func(t *testing.T) {
		path := filepath.Join(first, "libcublasLt.so.13")
		write(t, path, "cublasLtGetVersion 130100")
		for driver, want := range map[int]string{12090: "12.1.3", 13000: "13.1.0"} {
			l, err := CUBLASLt.openWith(&files{}, driver)
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
		write(t, filepath.Join(broken, "libcudnn.so.9"), "broken")
		in(t, broken)
		_, err := CuDNN.openWith(&files{}, 13000)
		if !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), filepath.Join(broken, "libcudnn.so.9")) {
			t.Errorf("error %v, want ErrNoLibrary with the file", err)
		}
		in(t, broken, second)
		l, err := CuDNN.openWith(&files{}, 13000)
		if err != nil || l.Path != filepath.Join(second, "libcudnn.so.9") {
			t.Errorf("%v, %v: want the next one", l, err)
		}
	})
	t.Run("missing", func(t *testing.T) {
		empty := t.TempDir()
		in(t, empty)
		for driver, wheel := range map[int]string{12040: "nvidia-cublas-cu12", 13000: "nvidia-cublas,"} {
			_, err := CUBLASLt.openWith(&files{}, driver)
			if !errors.Is(err, ErrNoLibrary) {
				t.Fatalf("error %v, want ErrNoLibrary", err)
			}
			for _, part := range []string{empty, "libcublasLt.so.12", "pip install " + wheel, FoldersVariable} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %v: want %q in it", err, part)
				}
			}
		}
	})
	t.Run("switched off", func(t *testing.T) {
		in(t, NoLibraries)
		_, err := NCCL.openWith(&files{}, 13000)
		if !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "switched off") {
			t.Errorf("error %v, want that it is switched off", err)
		}
	})
}

// TestNewestLibrary has a system with cuDNN 9.14 and cuBLASLt 13.0, an environment of Python with later ones of CUDA
// 13, and one of CUDA 12.
func TestNewestLibrary(t *testing.T) {
	root := t.TempDir()
	library := func(version int) string { return fmt.Sprintf("cudnnGetVersion %d\ncublasLtGetVersion %[1]d", version) }
	system := filepath.Join(root, "lib")
	link := func(version int, name, suffix string) {
		write(t, filepath.Join(system, name+suffix), library(version))
		if err := os.Symlink(name+suffix, filepath.Join(system, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(91400, "libcudnn.so.9", ".14.0")
	link(130000, "libcublasLt.so.13", ".0.0.19")
	wheel := func(site, folder, file, distInfo string, version int) string {
		lib := filepath.Join(root, site, "nvidia", folder, "lib")
		write(t, filepath.Join(lib, file), library(version))
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
	nothing := filepath.Join(root, "nothing")
	s := search{folders: []string{nothing, unknown, system, cudnn12, cudnn13, blas12, blas13}, loader: true}

	for _, c := range []struct {
		spec    LibrarySpec
		driver  int
		version string
		why     string // in it
	}{
		{CuDNN, 13000, "9.19.0", "the newest; there is 9.14.0 in " + system},
		{CuDNN, 12080, "9.14.0", "the newest; there is 9.2.1.18 in " + cudnn12}, // that of CUDA 13 is too new for this driver
		{CUBLASLt, 13000, "13.1.0", "the newest; there is 13.0.0.19 in " + system + ", 12.8.4.1 in " + blas12},
		{CUBLASLt, 12080, "12.8.4", "the only one"},
	} {
		l, err := c.spec.openIn(&files{}, s, c.driver)
		if err != nil {
			t.Fatal(err)
		}
		if l.Version != c.version || !strings.Contains(l.Why, c.why) {
			t.Errorf("%s for a driver of CUDA %d: %v: %s: want %s: %s", c.spec.Name, c.driver, l, l.Why, c.version, c.why)
		}
	}
	t.Run("a folder that the user names is first", func(t *testing.T) {
		s := s
		s.named, s.by = []string{nothing, cudnn12, cudnn13}, loaderVariable
		l, err := CuDNN.openIn(&files{}, s, 13000)
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
		write(t, broken, "broken")
		if err := os.Symlink(broken, filepath.Join(filepath.Dir(broken), "libcudnn.so.9")); err != nil {
			t.Fatal(err)
		}
		s.folders = append([]string{filepath.Dir(broken)}, s.folders...)
		l, err := CuDNN.openIn(&files{}, s, 13000)
		if err != nil {
			t.Fatal(err)
		}
		if l.Version != "9.19.0" || !strings.Contains(l.Why, "1 doesn't open") {
			t.Errorf("%v: %s", l, l.Why)
		}
	})
}

// TestComponentsAndDependenciesAreOpenedFirst: cuDNN opens its components by name, and NVIDIA's run-time compiler
// while it works. The system's loader must not take them from elsewhere.
func TestComponentsAndDependenciesAreOpenedFirst(t *testing.T) {
	root := t.TempDir()
	place := func(site, folder, file string) string {
		path := filepath.Join(root, site, "nvidia", folder, "lib", file)
		write(t, path, "cudnnGetVersion 91900")
		return path
	}
	graph := place("own", "cudnn", "libcudnn_graph.so.9")
	cudnn := place("own", "cudnn", "libcudnn.so.9")
	place("other", "cuda_nvrtc", "libnvrtc.so.13")
	compiler := place("own", "cuda_nvrtc", "libnvrtc.so.13")
	l := &files{}
	s := search{folders: []string{
		filepath.Join(root, "other", "nvidia", "cuda_nvrtc", "lib"), filepath.Dir(cudnn), filepath.Dir(compiler),
	}}
	if _, err := CuDNN.openIn(l, s, 13000); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{graph, "global " + compiler, cudnn}, l.opened); d != "" {
		t.Errorf("opened (-want +got):\n%s", d)
	}
}
