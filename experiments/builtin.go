package experiments

import (
	"embed"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/internal/atomicfile"
)

//go:embed *.yaml demo-model
var files embed.FS

// builtInModel is a model's folder in the binary: demo, which is trained, or demo-model, which is its configurations alone.
func builtInModel(name string) (fs.FS, bool) {
	switch name {
	case "demo":
		return demo.Model(), true
	case "demo-model":
		sub, err := fs.Sub(files, name)
		return sub, err == nil
	}
	return nil, false
}

// extract writes a built-in folder to disk. dst must not exist; it appears when it is complete.
func extract(dst string, folder fs.FS) error {
	return atomicfile.Folder(dst, func(dir string) error { return os.CopyFS(dir, folder) })
}

// Find returns the text of a built-in experiment, such as er.
func Find(name string) ([]byte, bool) {
	text, err := files.ReadFile(name + ".yaml")
	return text, err == nil
}

// Names lists the built-in experiments.
func Names() []string {
	list, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil // the pattern is well formed
	}
	for i, name := range list {
		list[i] = strings.TrimSuffix(path.Base(name), ".yaml")
	}
	return slices.Sorted(slices.Values(list))
}
