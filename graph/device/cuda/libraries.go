//go:build gpu

package cuda

// #include "libraries.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unsafe"
)

// librariesVariable names folders in which NVIDIA's libraries are looked for, and nowhere else; "none" is to do without them.
const librariesVariable = "HISTDIST_CUDA_LIBRARIES"

// noLibraries is its value, and that of Options.Libraries, for doing without.
const noLibraries = "none"

// ErrNoLibrary is the error where one of NVIDIA's libraries is not found or not usable.
var ErrNoLibrary = errors.New("no usable NVIDIA library")

// Library is one of NVIDIA's libraries beside the driver. It stays in the process once it is open.
type Library struct {
	Name    string // such as "cuBLASLt"
	Path    string
	Version string // such as "13.1.0"
	handle  unsafe.Pointer
}

// sought is a library: what it is called, how it is found, and what is lost without it.
type sought struct {
	name     string
	files    func(driver int) []string // the libraries' names, the best first; driver is the CUDA version that the driver knows
	needs    []string                  // what it opens by name while it works: opened before it, if they are found
	version  func(unsafe.Pointer) string
	wheels   [2]string // packages of Python that have it, for CUDA 12 and 13
	packages string    // others
	without  string    // what it means to have none
}

// cublasLt multiplies matrices. Those of CUDA 13 want a driver that knows it; those of CUDA 12 run on later ones too.
var cublasLt = sought{
	name: "cuBLASLt",
	files: func(driver int) []string {
		if driver < 13000 {
			return []string{"libcublasLt.so.12"}
		}
		return []string{"libcublasLt.so.13", "libcublasLt.so.12"}
	},
	version: func(h unsafe.Pointer) string {
		return dotted(int(C.hd_library_version(h, cString("cublasLtGetVersion\x00"))), 10000)
	},
	wheels: [2]string{"nvidia-cublas-cu12", "nvidia-cublas"}, packages: "the CUDA toolkit",
	without: "matrix products take kernels of our own, which are slower",
}

// cuDNN has one name for CUDA 12 and 13. It opens its parts and NVIDIA's run-time compiler itself, from its own folder or a place where
// the loader looks.
var cuDNN = sought{
	name:  "cuDNN",
	files: func(int) []string { return []string{"libcudnn.so.9"} },
	needs: []string{"libnvrtc.so.13", "libnvrtc.so.12"},
	version: func(h unsafe.Pointer) string {
		return dotted(int(C.hd_library_version(h, cString("cudnnGetVersion\x00"))), 10000)
	},
	wheels: [2]string{"nvidia-cudnn-cu12", "nvidia-cudnn-cu13"}, packages: "NVIDIA's package cudnn9",
	without: "convolutions take kernels of our own, which are slower",
}

// nccl adds up what several GPUs have.
var nccl = sought{
	name:    "NCCL",
	files:   func(int) []string { return []string{"libnccl.so.2"} },
	version: func(h unsafe.Pointer) string { return dotted(int(C.hd_library_nccl_version(h)), 10000) },
	wheels:  [2]string{"nvidia-nccl-cu12", "nvidia-nccl-cu13"}, packages: "NVIDIA's package libnccl2",
	without: "training takes one GPU",
}

// cString is a literal that ends with a 0.
func cString(s string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(s))) }

// dotted is "13.1.0" for 130100.
func dotted(v, major int) string {
	if v <= 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d.%d", v/major, v%major/100, v%100)
}

// open finds and opens the library for a driver of some CUDA version; folders is Options.Libraries.
func (p sought) open(driver int, folders string) (*Library, error) {
	if folders == "" {
		folders = os.Getenv(librariesVariable)
	}
	if folders == noLibraries {
		return nil, fmt.Errorf("%s: %w: switched off (%s=%s)", p.name, ErrNoLibrary, librariesVariable, noLibraries)
	}
	s := search{folders: filepath.SplitList(folders)}
	if folders == "" {
		s.folders, s.loader = usualFolders(os.Getenv, filepath.Glob), true
	}
	for _, need := range p.needs {
		s.find([]string{need}, true) // where it is missing, what needs it says so
	}
	files := p.files(driver)
	handle, path, failed := s.find(files, false)
	if handle == nil {
		return nil, p.missing(driver, files, s, failed)
	}
	return &Library{p.name, path, p.version(handle), handle}, nil
}

// missing says what was looked for, where, and what to install.
func (p sought) missing(driver int, files []string, s search, failed []string) error {
	wheel := p.wheels[0]
	if driver >= 13000 {
		wheel = p.wheels[1]
	}
	var places []string
	if s.loader {
		places = append(places, "where the system's loader looks (LD_LIBRARY_PATH, ldconfig)")
	}
	places = append(places, s.folders...)
	text := fmt.Sprintf("%s is not in %s", strings.Join(files, " or "), strings.Join(places, ", "))
	if len(failed) > 0 {
		text = strings.Join(failed, "; ")
	}
	return fmt.Errorf("%s: %w: %s: install it (pip install %s, or %s) or name its folder in %s", p.name, ErrNoLibrary, text, wheel, p.packages, librariesVariable)
}

// symbol finds a function of the library.
func (l *Library) symbol(name string) (unsafe.Pointer, error) {
	c := append([]byte(name), 0)
	if p := C.hd_library_symbol(l.handle, (*C.char)(unsafe.Pointer(&c[0]))); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s: %w: %s has no function %s: want another version of it", l.Name, ErrNoLibrary, l.Path, name)
}

// String is one line.
func (l *Library) String() string { return fmt.Sprintf("%s %s (%s)", l.Name, l.Version, l.Path) }

// search is where libraries are looked for.
type search struct {
	loader  bool // where the system's loader looks, before the folders
	folders []string
}

// find opens the first library there is of some names, all of them in one place before the next place. failed are those that are there and
// don't open.
func (s search) find(names []string, global bool) (handle unsafe.Pointer, path string, failed []string) {
	if s.loader {
		for _, name := range names {
			if handle, path, _ = openLibrary(name, global); handle != nil {
				return handle, path, nil
			}
		}
	}
	for _, folder := range s.folders {
		for _, name := range names {
			path := filepath.Join(folder, name)
			if _, err := os.Stat(path); err != nil {
				continue
			}
			h, at, message := openLibrary(path, global)
			if h != nil {
				return h, at, nil
			}
			failed = append(failed, message)
		}
	}
	return nil, "", failed
}

// openLibrary opens a library and says where it lies, or why it doesn't open.
func openLibrary(name string, global bool) (handle unsafe.Pointer, path, message string) {
	c := append([]byte(name), 0)
	const n = 4096
	text := make([]byte, n)
	handle = C.hd_library_open((*C.char)(unsafe.Pointer(&c[0])), C.int(flag(global)), (*C.char)(unsafe.Pointer(&text[0])), n)
	said := C.GoString((*C.char)(unsafe.Pointer(&text[0])))
	if handle == nil {
		return nil, "", said
	}
	if said == "" {
		said = name
	}
	return handle, said, ""
}

// usualFolders lists the folders of this machine in which NVIDIA's libraries may lie, in the order of the search: toolkits, the system's
// packages, environments of Python. No program is run for it.
func usualFolders(env func(string) string, glob func(string) ([]string, error)) []string {
	var folders []string
	add := func(patterns ...string) {
		for _, pattern := range patterns {
			found, err := glob(pattern)
			if err != nil { // a variable that holds a bad pattern
				continue
			}
			slices.Reverse(found) // later versions first
			for _, f := range found {
				if !slices.Contains(folders, f) {
					folders = append(folders, f)
				}
			}
		}
	}
	for _, variable := range []string{"CUDA_PATH", "CUDA_HOME"} {
		if root := env(variable); root != "" {
			add(root+"/lib64", root+"/lib")
		}
	}
	add("/usr/local/cuda/lib64", "/usr/local/cuda-*/lib64", "/opt/cuda/lib64")
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	add("/usr/lib/"+arch+"-linux-gnu", "/usr/lib64")
	for _, root := range pythons(env, glob) {
		for _, site := range []string{"/lib/python3*/site-packages", "/lib/python3*/dist-packages", "/lib64/python3*/site-packages"} {
			// nvidia/cu13/lib has what is of CUDA 13, nvidia/cublas/lib, nvidia/cudnn/lib … the rest.
			add(root + site + "/nvidia/*/lib")
		}
	}
	if root := env("CONDA_PREFIX"); root != "" {
		add(root + "/lib")
	}
	add("/opt/conda/lib")
	return folders
}

// pythons lists the folders that hold Python environments: the active one, that of the python3 on the path, the system's, and such as images
// for machine learning have.
func pythons(env func(string) string, glob func(string) ([]string, error)) []string {
	var roots []string
	for _, variable := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if root := env(variable); root != "" {
			roots = append(roots, root)
		}
	}
	for _, folder := range filepath.SplitList(env("PATH")) {
		program := filepath.Join(folder, "python3")
		if _, err := os.Stat(program); err != nil {
			continue
		}
		// The python3 of an environment is a link to the one that it was made of, and may be linked to: each has a folder of packages.
		for range 16 {
			roots = append(roots, filepath.Dir(filepath.Dir(program)))
			to, err := os.Readlink(program)
			if err != nil {
				break
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(program), to)
			}
			program = filepath.Clean(to)
		}
	}
	roots = append(roots, "/usr/local", "/usr")
	if home := env("HOME"); home != "" {
		roots = append(roots, home+"/.local")
	}
	for _, pattern := range []string{"/opt/*/.venv", "/opt/*venv*", "/opt/conda"} {
		if found, err := glob(pattern); err == nil {
			roots = append(roots, found...)
		}
	}
	return roots
}
