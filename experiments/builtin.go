package experiments

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

//go:embed *.yaml demo-model
var files embed.FS

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
