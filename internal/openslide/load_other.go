//go:build !(((linux && !android) || darwin || windows) && (amd64 || arm64))

package openslide

import (
	"fmt"
	"runtime"
)

// Library would be a loaded OpenSlide; on this system none can be loaded.
type Library struct{ Path, Version string }

// Slide would be an opened slide.
type Slide struct{}

var errSystem = fmt.Errorf("%w: this program can't load it on %s/%s", ErrMissing, runtime.GOOS, runtime.GOARCH)

func load(string) (*Library, error) { return nil, errSystem }

// Vendor returns "".
func (*Library) Vendor(string) string { return "" }

// Open returns an error.
func (*Library) Open(string, int) (*Slide, error) { return nil, errSystem }

// Close does nothing.
func (*Slide) Close() error { return nil }

// Levels returns an error.
func (*Slide) Levels() ([]Level, error) { return nil, errSystem }

// Properties returns an error.
func (*Slide) Properties() (map[string]string, error) { return nil, errSystem }

// ICC returns an error.
func (*Slide) ICC() ([]byte, error) { return nil, errSystem }

// Read returns an error.
func (*Slide) Read([]uint32, int, int64, int64, int, int) error { return errSystem }

// Associated returns an error.
func (*Slide) Associated() ([]string, error) { return nil, errSystem }

// ReadAssociated returns an error.
func (*Slide) ReadAssociated(string, int) (pix []uint32, width, height int, err error) {
	return nil, 0, 0, errSystem
}
