package openslide

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Variable is the environment variable that names the library's file or folder, or switches it off with the value Off.
const (
	Variable = "HISTDIST_OPENSLIDE"
	Off      = "off"
)

// ErrMissing says that there is no OpenSlide to use.
var ErrMissing = errors.New("OpenSlide is not there")

// advice says how to install the library.
const advice = "install it with 'apt install libopenslide0' (Debian, Ubuntu), 'dnf install openslide' (Fedora), " +
	"'brew install openslide' (macOS) or 'pip install openslide-bin' (any system; the newest version), " +
	"or name its file in " + Variable

// Load finds and loads the library. Its errors are ErrMissing, with what to install, unless a library that is there
// can't be used.
func Load() (*Library, error) {
	named := os.Getenv(Variable)
	switch named {
	case Off:
		return nil, fmt.Errorf("%w: it is switched off (%s=%s)", ErrMissing, Variable, Off)
	case "":
		return loadFirst(usual(runtime.GOOS, os.Getenv, pythons(exec.LookPath)))
	}
	info, err := os.Stat(named)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	if !info.IsDir() {
		return loadNamed(named)
	}
	for _, name := range fileNames(runtime.GOOS) {
		path := filepath.Join(named, name)
		if _, err := os.Stat(path); err == nil {
			return loadNamed(path)
		}
	}
	return nil, fmt.Errorf("%s: %s has no %s", Variable, named, strings.Join(fileNames(runtime.GOOS), ", "))
}

func loadNamed(path string) (*Library, error) {
	l, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Variable, err)
	}
	return l, nil
}

// loadFirst loads the first library that is there. A name without a folder is looked for by the system's loader.
func loadFirst(paths []string) (*Library, error) {
	var failed error
	for _, path := range paths {
		there := filepath.Base(path) != path
		if there {
			if _, err := os.Stat(path); err != nil {
				continue
			}
		}
		l, err := load(path)
		if err == nil {
			return l, nil
		}
		if there && failed == nil {
			failed = err
		}
	}
	if failed != nil {
		return nil, failed
	}
	return nil, fmt.Errorf("%w: %s", ErrMissing, advice)
}

// fileNames are the names of the library, newest first.
func fileNames(system string) []string {
	switch system {
	case "windows":
		return []string{"libopenslide-1.dll", "libopenslide-0.dll", "openslide.dll"}
	case "darwin":
		return []string{"libopenslide.1.dylib", "libopenslide.0.dylib", "libopenslide.dylib"}
	}
	return []string{"libopenslide.so.1", "libopenslide.so.0", "libopenslide.so"}
}

// usual lists where a library may be: in the active Python environment, where the system looks, in folders of package
// managers, and with the Python on the path.
func usual(system string, getenv func(string) string, pythons []string) []string {
	var paths []string
	names := fileNames(system)
	for _, variable := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if prefix := getenv(variable); prefix != "" {
			paths = append(paths, ofPython(system, prefix)...)
		}
	}
	paths = append(paths, names...)
	if system == "darwin" { // where the system's loader doesn't look
		for _, folder := range []string{"/opt/homebrew/lib", "/usr/local/lib", "/opt/local/lib"} {
			for _, name := range names {
				paths = append(paths, filepath.Join(folder, name))
			}
		}
	}
	for _, prefix := range pythons {
		paths = append(paths, ofPython(system, prefix)...)
	}
	return paths
}

// ofPython lists the libraries in an environment of Python: of the package openslide-bin, and Conda's.
func ofPython(system, prefix string) []string {
	packages, conda := "lib/python3*/site-packages", "lib"
	if system == "windows" {
		packages, conda = "Lib/site-packages", "Library/bin"
	}
	var paths []string
	for _, folder := range []string{packages + "/openslide_bin", conda} {
		for _, name := range fileNames(system) {
			found, err := filepath.Glob(filepath.Join(prefix, filepath.FromSlash(folder), name))
			if err == nil { // else the prefix has brackets
				paths = append(paths, found...)
			}
		}
	}
	return paths
}

// pythons are the environments of the Pythons on the path: the one that it names and the one that it links to.
func pythons(lookPath func(string) (string, error)) []string {
	var prefixes []string
	for _, name := range []string{"python3", "python"} {
		path, err := lookPath(name)
		if err != nil {
			continue
		}
		paths := []string{path}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			paths = append(paths, real)
		}
		for _, path := range paths {
			prefix := filepath.Dir(path) // of Windows
			if strings.EqualFold(filepath.Base(prefix), "bin") || strings.EqualFold(filepath.Base(prefix), "Scripts") {
				prefix = filepath.Dir(prefix)
			}
			if !slices.Contains(prefixes, prefix) {
				prefixes = append(prefixes, prefix)
			}
		}
	}
	return prefixes
}
