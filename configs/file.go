package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// extendsKey names, at the top of a file, the file that it adds to.
const extendsKey = "extends"

// File is a text of keys and values in YAML.
type File struct {
	Name string // for errors
	Text []byte
}

// LoadFile is Load of a file that extends no other, "" being none, and of flags.
func LoadFile(config any, path string, flags map[string]*pflag.Flag) ([]Value, error) {
	s := Sources{Flags: flags}
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s.Files = []File{{path, text}}
	}
	return Load(config, s)
}

// Chain reads a file and, before it, the one that it extends, which may extend another. An extended file is found beside the file that
// names it, with or without .yaml, or else by find, which knows built-in files by their names.
func Chain(path string, find func(name string) ([]byte, bool)) ([]File, error) {
	var chain []File
	for path != "" {
		f, err := open(path, find)
		if err != nil {
			if len(chain) > 0 {
				err = fmt.Errorf("%s: %s: %w", chain[0].Name, extendsKey, err)
			}
			return nil, err
		}
		if slices.ContainsFunc(chain, func(g File) bool { return g.Name == f.Name }) {
			return nil, fmt.Errorf("%s extends itself", f.Name)
		}
		chain = slices.Insert(chain, 0, f)
		var head struct {
			Extends string `yaml:"extends"`
		}
		if err := yaml.Unmarshal(f.Text, &head); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		path = head.Extends
		if path != "" && !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(f.Name), path)
		}
	}
	return chain, nil
}

// open reads a file by its path, with or without .yaml, or a built-in one by the path's last element.
func open(path string, find func(name string) ([]byte, bool)) (File, error) {
	text, err := os.ReadFile(path)
	if info, e := os.Stat(path); e == nil && info.IsDir() { // a run's or the demonstration's folder, beside which there may be a file
		err = fmt.Errorf("%s is a folder: %w", path, os.ErrNotExist)
	}
	if errors.Is(err, os.ErrNotExist) && filepath.Ext(path) == "" {
		if text, err := os.ReadFile(path + ".yaml"); err == nil {
			return File{path + ".yaml", text}, nil
		}
	}
	if err == nil {
		return File{path, text}, nil
	}
	name := strings.TrimSuffix(filepath.Base(path), ".yaml")
	if text, ok := find(name); ok && errors.Is(err, os.ErrNotExist) {
		return File{name + ".yaml (built in)", text}, nil
	}
	return File{}, err
}

// lines finds the line of each key, and reports those that aren't known or stand twice.
func (f File) lines(keys []key) (map[string]int, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(f.Text, &root); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name, err)
	}
	if len(root.Content) == 0 {
		return nil, nil
	}
	if root.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: want keys and values", f.Name)
	}
	known := names(keys)
	lines := map[string]int{}
	var errs []error
	var walk func(n *yaml.Node, prefix string)
	walk = func(n *yaml.Node, prefix string) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := prefix+n.Content[i].Value, n.Content[i+1]
			line := n.Content[i].Line
			_, twice := lines[name]
			lines[name] = line
			switch {
			case twice:
				errs = append(errs, fmt.Errorf("%s:%d: %s stands twice", f.Name, line, name))
			case name == extendsKey:
			case !slices.Contains(known, name):
				errs = append(errs, fmt.Errorf("%s:%d: %w", f.Name, line, unknown(name, known)))
			case value.Tag == "!!null" && !isKey(name, keys): // a section without keys
			case value.Tag == "!!null", isKey(name, keys) == (value.Kind == yaml.MappingNode):
				errs = append(errs, fmt.Errorf("%s:%d: %s: %s", f.Name, line, name, wantOf(name, keys)))
			case value.Kind == yaml.MappingNode:
				walk(value, name+".")
			}
		}
	}
	walk(root.Content[0], "")
	return lines, errors.Join(errs...)
}

// wantOf says what stands at a name: a value, or the keys of a section.
func wantOf(name string, keys []key) string {
	for _, k := range keys {
		if k.name == name {
			return "want " + k.kind()
		}
	}
	return "want keys and values, it is a section"
}

func isKey(name string, keys []key) bool {
	return slices.ContainsFunc(keys, func(k key) bool { return k.name == name })
}

// unknown is the error of a key that isn't known.
func unknown(name string, known []string) error {
	if near := nearest(name, known); near != "" {
		return fmt.Errorf("unknown key %s: did you mean %s?", name, near)
	}
	return fmt.Errorf("unknown key %s", name)
}
