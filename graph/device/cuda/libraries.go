//go:build gpu

package cuda

// #include "libraries.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
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
	Why     string // why it and no other one that may be there
	handle  unsafe.Pointer
}

// sought is a library: what it is called, how it is found, and what is lost without it.
type sought struct {
	name     string
	files    func(driver int) []string // the libraries' names, the best first; driver is the CUDA version that the driver knows
	parts    []string                  // what its other parts open by name: opened first, from its own folder, whatever the loader knows
	needs    []sought                  // what else it opens by name while it works: opened first, if it is found
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
	parts: []string{"libcudnn_graph.so.9"},
	needs: []sought{compiler("libnvrtc.so.13"), compiler("libnvrtc.so.12")},
	version: func(h unsafe.Pointer) string {
		return dotted(int(C.hd_library_version(h, cString("cudnnGetVersion\x00"))), 10000)
	},
	wheels: [2]string{"nvidia-cudnn-cu12", "nvidia-cudnn-cu13"}, packages: "NVIDIA's package cudnn9",
	without: "convolutions take kernels of our own, which are slower",
}

// compiler is NVIDIA's run-time compiler.
func compiler(file string) sought {
	return sought{files: func(int) []string { return []string{file} }, wheels: [2]string{"nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc"}}
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
	s, err := whereToLook(folders)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return p.openIn(s, driver)
}

// openIn opens the best library of what is found and can be opened.
func (p sought) openIn(s search, driver int) (*Library, error) {
	candidates := s.candidates(p, driver)
	var failed []string
	for _, c := range candidates {
		p.prepare(c, s, driver)
		handle, path, message := openLibrary(c.path, false)
		if handle != nil {
			return &Library{p.name, path, p.version(handle), c.why(candidates, len(failed)), handle}, nil
		}
		if filepath.IsAbs(c.path) { // else the loader doesn't find it
			failed = append(failed, message)
		}
	}
	return nil, p.missing(driver, s, failed)
}

// prepare opens what a library will look for by name. Where something is missing, the library says so when it needs it.
func (p sought) prepare(c candidate, s search, driver int) {
	for _, part := range p.parts {
		if filepath.IsAbs(c.path) {
			openLibrary(filepath.Join(filepath.Dir(c.path), part), false)
		}
	}
	for _, n := range p.needs {
		n.openFor(c, s, driver)
	}
}

// openFor opens what a library opens by name while it works: that of the library's own environment, for they were released together; else one
// that is not newer than the driver, whose code that could be too new for; else any.
func (p sought) openFor(user candidate, s search, driver int) {
	all := s.candidates(p, driver)
	slices.SortStableFunc(all, func(a, b candidate) int {
		rank := func(c candidate) int {
			switch {
			case c.site != "" && c.site == user.site || filepath.Dir(c.path) == filepath.Dir(user.path):
				return 0
			case slices.Compare(c.version, []int{driver / 1000, driver % 1000 / 10, math.MaxInt}) <= 0:
				return 1
			}
			return 2
		}
		return rank(a) - rank(b)
	})
	for _, c := range all {
		if handle, _, _ := openLibrary(c.path, true); handle != nil {
			return // the loader gives it to who asks for its name from now on
		}
	}
}

// missing says what was looked for, where, and what to install.
func (p sought) missing(driver int, s search, failed []string) error {
	wheel := p.wheels[0]
	if driver >= 13000 {
		wheel = p.wheels[1]
	}
	text := fmt.Sprintf("%s is not in %s", strings.Join(p.files(driver), " or "), s)
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
