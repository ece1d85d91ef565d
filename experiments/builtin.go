package experiments

import (
	"embed"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// find returns the text of a built-in experiment by a name such as er, er.yaml or experiments/er.yaml.
func find(name string) ([]byte, bool) {
	name = strings.TrimPrefix(path.Clean(filepath.ToSlash(name)), "experiments/")
	text, err := files.ReadFile(strings.TrimSuffix(strings.TrimSuffix(name, ".yaml"), ".yml") + ".yaml")
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
