//go:build ((linux && !android) || darwin) && (amd64 || arm64)

package openslide

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/ebitengine/purego"
)

func dlopen(path string) (uintptr, error) {
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

func symbol(handle uintptr, name string) (uintptr, error) { return purego.Dlsym(handle, name) }

// loadedFrom returns the path of a library that was loaded by its name, where the system lists it.
func loadedFrom(path string) string {
	if filepath.Base(path) != path {
		return path
	}
	maps, err := os.ReadFile("/proc/self/maps") // Linux
	if err != nil {
		return path
	}
	for line := range strings.Lines(string(maps)) {
		if at := strings.IndexByte(line, '/'); at >= 0 && strings.Contains(line, "libopenslide") {
			return strings.TrimSpace(line[at:])
		}
	}
	return path
}
