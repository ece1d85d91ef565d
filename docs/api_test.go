package docs

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const module = "github.com/histdist/histdist"

// private reports whether programs of others can't import a package, or are told not to.
func private(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == "internal" {
			return true
		}
	}
	switch first, _, _ := strings.Cut(strings.TrimPrefix(path, module+"/"), "/"); first {
	case "cmd", "configs", "experiments", "docs":
		return true
	}
	return false
}

// go-api.md lists the public packages, and their exported names refer to no others of this module.
func TestPublicPackages(t *testing.T) {
	section := documents(t)["docs/go-api.md"]
	_, section, _ = strings.Cut(section, "\n## Which packages to import\n")
	section, _, _ = strings.Cut(section, "\nThese packages are public")
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z/]+)`").FindAllStringSubmatch(section, -1) {
		listed[module+"/"+m[1]] = true
	}
	exports, packages := compiled(t)
	from := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("%s isn't compiled", path)
		}
		return os.Open(exports[path])
	})
	for _, path := range packages {
		switch {
		case private(path):
			continue
		case !listed[path]:
			t.Errorf("%s is neither in docs/go-api.md nor internal", path)
			continue
		}
		delete(listed, path)
		p, err := from.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		u := user{t: t, of: p, seen: map[types.Type]bool{}}
		for _, name := range p.Scope().Names() {
			if o := p.Scope().Lookup(name); o.Exported() {
				u.object = o
				u.uses(o.Type())
			}
		}
	}
	for path := range listed {
		t.Errorf("docs/go-api.md lists %s, which is no package of the module or not public", path)
	}
}

// compiled returns files with what packages export, by import path, and this module's packages.
func compiled(t *testing.T) (exports map[string]string, packages []string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps",
		"-f", "{{.ImportPath}} {{.Export}} {{with .Module}}{{.Main}}{{end}}", "./...")
	list.Dir, list.Stderr = "..", os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports = map[string]string{}
	for line := range strings.Lines(string(out)) {
		part := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if exports[part[0]] = part[1]; part[2] == "true" {
			packages = append(packages, part[0])
		}
	}
	return exports, packages
}

// user looks for private types in what a package exports.
type user struct {
	t      *testing.T
	of     *types.Package
	object types.Object
	seen   map[types.Type]bool
}

// named checks the name of a type, and reports whether its definition is the package's own.
func (u *user) named(o *types.TypeName) bool {
	if o.Pkg() == nil {
		return false
	}
	if path := o.Pkg().Path(); strings.HasPrefix(path, module) && private(path) {
		u.t.Errorf("%s: %s uses %s.%s, which isn't public", u.of.Path(), u.object.Name(), path, o.Name())
	}
	return o.Pkg() == u.of
}

func (u *user) uses(t types.Type) {
	if t == nil || u.seen[t] {
		return
	}
	u.seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		u.named(t.Obj())
		u.uses(t.Rhs())
	case *types.Named:
		for i := range t.TypeArgs().Len() {
			u.uses(t.TypeArgs().At(i))
		}
		if !u.named(t.Obj()) {
			return
		}
		u.uses(t.Underlying())
		for i := range t.NumMethods() {
			if m := t.Method(i); m.Exported() {
				u.uses(m.Type())
			}
		}
	case *types.Struct:
		for i := range t.NumFields() {
			if f := t.Field(i); f.Exported() || f.Embedded() {
				u.uses(f.Type())
			}
		}
	case *types.Interface:
		for i := range t.NumMethods() {
			if m := t.Method(i); m.Exported() {
				u.uses(m.Type())
			}
		}
	case *types.Signature:
		u.uses(t.Params())
		u.uses(t.Results())
		for i := range t.TypeParams().Len() {
			u.uses(t.TypeParams().At(i).Constraint())
		}
	case *types.Tuple:
		for i := range t.Len() {
			u.uses(t.At(i).Type())
		}
	case *types.Map:
		u.uses(t.Key())
		u.uses(t.Elem())
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		u.uses(t.Elem())
	}
}
