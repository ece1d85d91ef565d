package nvlib

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"unsafe"
)

// FoldersVariable names the folders in which NVIDIA's libraries are looked for, and nowhere else.
const FoldersVariable = "HISTDIST_CUDA_LIBRARIES"

// NoLibraries is the value of FoldersVariable with which no library is used.
const NoLibraries = "none"

// ErrNoLibrary is the error where one of NVIDIA's libraries is missing or can't be used.
var ErrNoLibrary = errors.New("no usable NVIDIA library")

// Library is one of NVIDIA's libraries. It stays in the process once it is open.
type Library struct {
	Name    string // such as "cuBLASLt"
	Path    string
	Version string // such as "13.1.0"
	Why     string // why this file, of all that may be there
	Handle  unsafe.Pointer

	loader loader
}

// loader opens libraries: the system's, in open.go, or a test's.
type loader interface {
	// open returns the library's handle and path. With global, libraries that are opened later find its
	// functions.
	open(name string, global bool) (handle unsafe.Pointer, path string, err error)
	// version calls a function that returns a version; it is 0 if there is none.
	version(handle unsafe.Pointer, f versionFunction) int
	// symbol finds a function; nil if there is none.
	symbol(handle unsafe.Pointer, name string) unsafe.Pointer
}

// openWith finds and opens the library where the environment says.
func (p LibrarySpec) openWith(l loader, driver int) (*Library, error) {
	s, err := whereToLook()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return p.openIn(l, s, driver)
}

// openIn opens the best library that is found and can be opened.
func (p LibrarySpec) openIn(l loader, s search, driver int) (*Library, error) {
	candidates := s.candidates(p, driver)
	var failed []string
	for _, c := range candidates {
		p.prepare(l, c, s, driver)
		handle, path, err := l.open(c.path, false)
		if err == nil {
			version := versionText(l.version(handle, p.version))
			return &Library{p.Name, path, version, c.why(candidates, len(failed)), handle, l}, nil
		}
		if filepath.IsAbs(c.path) { // otherwise the loader just doesn't find it
			failed = append(failed, err.Error())
		}
	}
	return nil, p.missing(driver, s, failed)
}

// prepare opens the libraries that a library will look for by name. It reports missing ones itself, when it needs them.
func (p LibrarySpec) prepare(l loader, c candidate, s search, driver int) {
	for _, component := range p.components {
		if filepath.IsAbs(c.path) {
			_, _, _ = l.open(filepath.Join(filepath.Dir(c.path), component), false)
		}
	}
	for _, dep := range p.runtimeDeps {
		dep.openFor(l, c, s, driver)
	}
}

// openFor opens a library that another one, the user, opens by name while it works: the one in the user's own
// environment, for they were released together; else one no newer than the driver, to which a newer one's code might
// mean nothing; else any.
func (p LibrarySpec) openFor(l loader, user candidate, s search, driver int) {
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
		if _, _, err := l.open(c.path, true); err == nil {
			return // from now on the loader answers its name with this one
		}
	}
}

// Symbol finds a function of the library.
func (l *Library) Symbol(name string) (unsafe.Pointer, error) {
	if p := l.loader.symbol(l.Handle, name); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s: %w: %s has no function %s: want another version of it", l.Name, ErrNoLibrary, l.Path, name)
}

// Number calls a function of the library that takes nothing and returns a size_t; it is 0 if there is none.
func (l *Library) Number(function string) int {
	return l.loader.version(l.Handle, versionFunction{name: function})
}

func (l *Library) String() string { return fmt.Sprintf("%s %s (%s)", l.Name, l.Version, l.Path) }
