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

	"go.yaml.in/yaml/v3"

	"github.com/histdist/histdist/internal/option"
)

// extendsKey names, at the top of a file, the file that it adds to.
const extendsKey = "extends"

// maxFile is the largest size of a configuration file, in bytes.
const maxFile = 1 << 20

// file is a file of keys and values in YAML.
type file struct {
	name    string // for errors
	root    *yaml.Node
	builtIn bool
}

// NoFileError says that a configuration file neither exists nor is built in.
type NoFileError struct {
	Path   string
	Folder bool // a folder has that name
}

// Error names the path.
func (e *NoFileError) Error() string {
	if e.Folder {
		return e.Path + " is a folder"
	}
	return e.Path + ": no such file"
}

// chain reads a file ("" is none) and, before it, the one that it extends, which may extend another. An extended file
// is found next to the file that names it, with or without .yaml, or else among the built-in ones.
func chain(path string, builtIn func(name string) ([]byte, bool)) ([]file, error) {
	var list []file
	for name, next := path, path; next != ""; {
		f, err := open(name, next, len(list) > 0 && list[0].builtIn, builtIn)
		if err != nil {
			if len(list) > 0 {
				err = fmt.Errorf("%s: %s: %w", list[0].name, extendsKey, err)
			}
			return nil, err
		}
		if slices.ContainsFunc(list, func(g file) bool { return g.name == f.name }) {
			return nil, fmt.Errorf("%s extends itself", f.name)
		}
		list = slices.Insert(list, 0, f)
		if name, err = f.extends(); err != nil {
			return nil, err
		}
		if next = name; next != "" && !filepath.IsAbs(next) {
			next = filepath.Join(filepath.Dir(f.name), next)
		}
	}
	return list, nil
}

// open reads a file by its path, with or without .yaml, or else a built-in one by the name that a user or a file gave.
// A built-in file extends built-in ones only.
func open(name, path string, inBinary bool, builtIn func(name string) ([]byte, bool)) (file, error) {
	missing := &NoFileError{Path: path}
	for _, p := range []string{path, path + ".yaml", path + ".yml"} {
		if inBinary || p != path && filepath.Ext(path) != "" {
			break
		}
		text, err := read(p)
		if err == nil {
			return parse(p, text)
		}
		var none *NoFileError
		if !errors.As(err, &none) {
			return file{}, err
		}
		missing.Folder = missing.Folder || none.Folder
	}
	if builtIn != nil {
		if text, ok := builtIn(name); ok {
			base := filepath.Base(name)
			f, err := parse(strings.TrimSuffix(base, filepath.Ext(base))+".yaml (built in)", text)
			f.builtIn = true
			return f, err
		}
	}
	return file{}, missing
}

// read returns the text of a file, at most maxFile bytes.
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

// extends returns the name of the file that f extends, "" if none.
func (f file) extends() (string, error) {
	for i := 0; i+1 < len(f.root.Content); i += 2 {
		name, value := f.root.Content[i], f.root.Content[i+1]
		switch {
		case name.Value != extendsKey || value.ShortTag() == "!!null":
		case value.Kind != yaml.ScalarNode:
			return "", fmt.Errorf("%s:%d: %s: want the name of one file", f.name, name.Line, extendsKey)
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

	list *yaml.Node // of a list of structs, in a file
}

// values returns the values of a file by key. The error names every key that is unknown, given twice or holds what no
// key can.
func (f file) values(k *keys) (map[string]written, error) {
	lines, values := map[string]int{}, map[string]written{}
	var errs []error
	var walk func(n *yaml.Node, prefix string)
	walk = func(n *yaml.Node, prefix string) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			at, value := n.Content[i], n.Content[i+1]
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			place := fmt.Sprintf("%s:%d", f.name, at.Line)
			wrong := func(format string, args ...any) {
				errs = append(errs, fmt.Errorf("%s: %w", place, fmt.Errorf(format, args...)))
			}
			name := prefix + at.Value
			o, known := k.find(name, place)
			if known {
				name = o.Key
			}
			before, twice := lines[name]
			lines[name] = at.Line
			null := value.ShortTag() == "!!null"
			switch {
			case at.Kind != yaml.ScalarNode:
				wrong("want the name of a key before the colon")
			case at.ShortTag() == "!!merge":
				wrong("<< is not supported: a file takes over the values of another with %s: FILE", extendsKey)
			case twice:
				wrong("%s is given twice, first in line %d", name, before)
			case name == extendsKey:
			case !known && !k.isSection(name):
				wrong("%w", k.unknown(name))
			case known && value.Kind == yaml.ScalarNode && !null && strings.HasPrefix(value.ShortTag(), "!!"):
				values[name] = written{text: value.Value, tag: value.ShortTag(), origin: place}
			case known && o.IsList() && value.Kind == yaml.SequenceNode:
				if text, ok := joined(value); ok {
					values[name] = written{text: text, origin: place}
				} else {
					wrong("%s: want a list of texts", name)
				}
			case known && o.Elements() != nil && value.Kind == yaml.SequenceNode:
				values[name] = written{origin: place, list: value}
			case known && o.Kind() == "true or false":
				wrong("%s: want true or false", name)
			case known:
				wrong("%s: want a %s", name, o.Kind())
			case value.Kind == yaml.MappingNode:
				walk(value, name+".")
			case !null: // a section may be empty
				wrong("%s: want keys and values, it is a section", name)
			}
		}
	}
	walk(f.root, "")
	return values, errors.Join(errs...)
}

// joined is the text of a list of texts.
func joined(list *yaml.Node) (string, bool) {
	var parts []string
	for _, n := range list.Content {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
			return "", false
		}
		parts = append(parts, n.Value)
	}
	return option.Join(parts...), true
}
