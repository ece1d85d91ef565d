package nvlib

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// loaderVariable names folders that the system's loader searches before all others: whoever sets it wants what is
// there.
const loaderVariable = "LD_LIBRARY_PATH"

func loaderFolders(env func(string) string) []string {
	return strings.FieldsFunc(env(loaderVariable), func(r rune) bool { return r == ':' || r == ';' })
}

// usualFolders lists the folders of this machine in which NVIDIA's libraries may be: toolkits, the system's
// packages, Python environments. It runs no program.
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
	add("/usr/lib/"+arch+"-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
	for _, root := range pythons(env, glob) {
		for _, site := range []string{
			"/lib/python3*/site-packages", "/lib/python3*/dist-packages", "/lib64/python3*/site-packages",
		} {
			// nvidia/cu13/lib has libraries of CUDA 13; others are in nvidia/cublas/lib, nvidia/cudnn/lib ….
			add(root + site + "/nvidia/*/lib")
		}
	}
	if root := env("CONDA_PREFIX"); root != "" {
		add(root + "/lib")
	}
	add("/opt/conda/lib")
	return folders
}

// pythons lists the folders of Python environments: the active one, the one of python3 on the path, the system's,
// and those usual in container images for machine learning.
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
		// The python3 of an environment is a link to the one that it was made from, and may itself be linked to: each has
		// its packages.
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
