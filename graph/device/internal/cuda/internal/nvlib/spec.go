package nvlib

import (
	"fmt"
	"strings"
)

// LibrarySpec describes a library: what it is called, how it is found, and what is lost without it.
type LibrarySpec struct {
	Name string
	// FallbackNote says what happens where the library is missing.
	FallbackNote string

	files       func(driver int) []string // its files' names, the best first, for a driver that knows CUDA version driver
	components  []string                  // files that it opens by name: opened first, from its own folder
	runtimeDeps []LibrarySpec             // libraries that it opens by name while it works: opened first, if found
	version     versionFunction
	wheels      [2]string // Python packages that contain it, for CUDA 12 and 13
	packages    string    // other sources of it
}

// versionFunction is a library's function that returns its version.
type versionFunction struct {
	name      string
	byPointer bool // int name(int *version) instead of size_t name(void)
}

// CUBLASLt multiplies matrices. That of CUDA 13 needs a driver that knows CUDA 13; that of CUDA 12 runs on newer
// drivers too.
var CUBLASLt = LibrarySpec{
	Name: "cuBLASLt",
	files: func(driver int) []string {
		if driver < 13000 {
			return []string{"libcublasLt.so.12"}
		}
		return []string{"libcublasLt.so.13", "libcublasLt.so.12"}
	},
	version: versionFunction{name: "cublasLtGetVersion"},
	wheels:  [2]string{"nvidia-cublas-cu12", "nvidia-cublas"}, packages: "the CUDA toolkit",
	FallbackNote: "matrix products take kernels of our own, which are slower",
}

// CuDNN has one file name for CUDA 12 and 13. It opens its components and NVIDIA's run-time compiler itself, from its
// own folder or where the system's loader looks.
var CuDNN = LibrarySpec{
	Name:        "cuDNN",
	files:       func(int) []string { return []string{"libcudnn.so.9"} },
	components:  []string{"libcudnn_graph.so.9"},
	runtimeDeps: []LibrarySpec{nvrtc("libnvrtc.so.13"), nvrtc("libnvrtc.so.12")},
	version:     versionFunction{name: "cudnnGetVersion"},
	wheels:      [2]string{"nvidia-cudnn-cu12", "nvidia-cudnn-cu13"}, packages: "NVIDIA's package cudnn9",
	FallbackNote: "convolutions take kernels of our own, which are slower",
}

// nvrtc is NVIDIA's run-time compiler.
func nvrtc(file string) LibrarySpec {
	return LibrarySpec{
		files:  func(int) []string { return []string{file} },
		wheels: [2]string{"nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc"},
	}
}

// NCCL sums over several GPUs.
var NCCL = LibrarySpec{
	Name:    "NCCL",
	files:   func(int) []string { return []string{"libnccl.so.2"} },
	version: versionFunction{name: "ncclGetVersion", byPointer: true},
	wheels:  [2]string{"nvidia-nccl-cu12", "nvidia-nccl-cu13"}, packages: "NVIDIA's package libnccl2",
	FallbackNote: "training takes one GPU",
}

// CUBLASLtOf is cuBLASLt of one major version of CUDA.
func CUBLASLtOf(cuda int) LibrarySpec {
	s := CUBLASLt
	s.files = func(int) []string { return []string{fmt.Sprintf("libcublasLt.so.%d", cuda)} }
	return s
}

// versionText is "13.1.0" for 130100.
func versionText(v int) string {
	if v <= 0 {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d.%d", v/10000, v%10000/100, v%100)
}

// missing says what was looked for, where, and what to install.
func (p LibrarySpec) missing(driver int, s search, failed []string) error {
	wheel := p.wheels[0]
	if driver >= 13000 {
		wheel = p.wheels[1]
	}
	text := fmt.Sprintf("%s is not in %s", strings.Join(p.files(driver), " or "), s)
	if len(failed) > 0 {
		text = strings.Join(failed, "; ")
	}
	return fmt.Errorf("%s: %w: %s: install it (pip install %s, or %s) or name its folder in %s",
		p.Name, ErrNoLibrary, text, wheel, p.packages, FoldersVariable)
}
