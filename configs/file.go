package configs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// extendsKey names, at the top of a file, the file that it adds to.
const extendsKey = "extends"

// maxFile is the size of a file, in bytes, from which on it is no configuration.
const maxFile = 1 << 20

// File is a file of keys and values in YAML.
type File struct {
	Name    string // for errors
	root    *yaml.Node
	builtIn bool
}

// NoFileError is the error of a configuration's file that is neither there nor built in.
type NoFileError struct {
	Path   string
	Folder bool // there is a folder of that name
}

// Error says what was looked for.
func (e *NoFileError) Error() string {
	if e.Folder {
		return e.Path + " is a folder"
	}
	return e.Path + ": no such file"
}

// LoadFile is Load of a file that extends no other, "" being none, and of flags.
func LoadFile(config any, path string, flags map[string]*pflag.Flag) ([]Value, error) {
	s := Sources{Flags: flags}
	if path != "" {
		text, err := read(path)
		if err != nil {
			return nil, err
		}
		f, err := parse(path, text)
		if err != nil {
			return nil, err
		}
		s.Files = []File{f}
	}
	return Load(config, s)
}

// Chain reads a file and, before it, the one that it extends, which may extend another. An extended file is found next to the file that
// names it, with or without .yaml, or else by find, which knows built-in files by their names.
func Chain(path string, find func(name string) ([]byte, bool)) ([]File, error) {
	var chain []File
	for name, next := path, path; next != ""; {
		f, err := open(name, next, len(chain) > 0 && chain[0].builtIn, find)
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
		if name, err = f.extends(); err != nil {
			return nil, err
		}
		if next = name; next != "" && !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(f.Name), next)
		}
	}
	return chain, nil
}

// open reads a file by its path, with or without .yaml, or else a built-in one by the name that a user or a file gave: er, er.yaml or
// experiments/er.yaml. What a built-in file extends is built in.
func open(name, path string, builtIn bool, find func(name string) ([]byte, bool)) (File, error) {
	missing := &NoFileError{Path: path}
	for _, p := range []string{path, path + ".yaml", path + ".yml"} {
		if builtIn || p != path && filepath.Ext(path) != "" {
			break
		}
		text, err := read(p)
		if err == nil {
			return parse(p, text)
		}
		var none *NoFileError
		if !errors.As(err, &none) {
			return File{}, err
		}
		missing.Folder = missing.Folder || none.Folder
	}
	name = strings.TrimPrefix(filepath.ToSlash(name), "./")
	name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "experiments/"), ".yaml"), ".yml")
	if text, ok := find(strings.TrimSuffix(name, "/")); ok {
		f, err := parse(strings.TrimSuffix(name, "/")+".yaml (built in)", text)
		f.builtIn = true
		return f, err
	}
	return File{}, missing
}

// read reads a file that is small enough to be a configuration.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NoFileError{Path: path}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, &NoFileError{Path: path, Folder: true}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: larger than 1 MiB: want a YAML file of keys and values", path)
	}
	return text, err
}

// extends is the name of the file that f adds to, "" if there is none.
func (f File) extends() (string, error) {
	for i := 0; i+1 < len(f.root.Content); i += 2 {
		name, value := f.root.Content[i], f.root.Content[i+1]
		switch {
		case name.Value != extendsKey || value.ShortTag() == "!!null":
		case value.Kind != yaml.ScalarNode:
			return "", fmt.Errorf("%s:%d: %s: want the name of one file", f.Name, name.Line, extendsKey)
		default:
			return value.Value, nil
		}
	}
	return "", nil
}

// written is a value as it is written somewhere.
type written struct {
	text   string
	tag    string // YAML's, "" elsewhere
	origin string // a file with its line, an environment variable or a flag
}

// values are those of a file, sections as maps. An error names every key that isn't known, is given twice or holds what no key can.
func (f File) values(keys []key) (map[string]any, error) {
	lines := map[string]int{}
	tree := map[string]any{}
	var errs []error
	wrong := func(at *yaml.Node, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %w", f.Name, at.Line, fmt.Errorf(format, args...)))
	}
	var walk func(n *yaml.Node, prefix string)
	walk = func(n *yaml.Node, prefix string) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			at, value := n.Content[i], n.Content[i+1]
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			name := prefix + at.Value
			before, twice := lines[name]
			lines[name] = at.Line
			known := isKey(name, keys)
			null := value.ShortTag() == "!!null"
			switch {
			case at.Kind != yaml.ScalarNode:
				wrong(at, "want the name of a key before the colon")
			case at.ShortTag() == "!!merge":
				wrong(at, "<< is not supported: a file takes over the values of another with %s: FILE", extendsKey)
			case twice:
				wrong(at, "%s is given twice, first in line %d", name, before)
			case name == extendsKey:
			case !known && !isSection(name, keys):
				wrong(at, "%w", unknown(name, keys))
			case known && value.Kind == yaml.ScalarNode && !null && strings.HasPrefix(value.ShortTag(), "!!"):
				put(tree, name, written{value.Value, value.ShortTag(), fmt.Sprintf("%s:%d", f.Name, at.Line)})
			case known:
				wrong(at, "%s: want %s", name, kindOf(name, keys))
			case value.Kind == yaml.MappingNode:
				walk(value, name+".")
			case !null: // a section may be empty
				wrong(at, "%s: want keys and values, it is a section", name)
			}
		}
	}
	walk(f.root, "")
	return tree, errors.Join(errs...)
}

// put stores a value under a dotted name, sections being maps in maps.
func put(tree map[string]any, name string, value any) {
	for {
		section, rest, ok := strings.Cut(name, ".")
		if !ok {
			tree[name] = value
			return
		}
		inner, ok := tree[section].(map[string]any)
		if !ok {
			inner = map[string]any{}
			tree[section] = inner
		}
		tree, name = inner, rest
	}
}
