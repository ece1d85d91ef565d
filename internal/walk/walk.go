package walk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say what is found; the zero value finds everything below a folder but panels.
type Options struct {
	Flat    bool     // only the folder's own files, not those of its sub-folders
	Outputs Outputs  // which of the images that this program made are passed over
	Except  []string // folders that are not entered
	// Named reports whether a file is looked for, by its name; nil: IsImage.
	Named func(name string) bool
}

// File is an image file.
type File struct {
	Path string // the file can be opened by it
	Name string // the path below the root, with slashes, as it is on disk
	Stem string // Name as it is compared: see Stem
}

// Listing is what was found.
type Listing struct {
	Root       string       // the folder that names are below
	Files      []File       // sorted by Stem, then by Name
	Passed     []File       // images that this program made and Options.Outputs leaves out, likewise
	Unreadable []Unreadable // sorted by Path
}

// Unreadable is a folder that can't be read, or a link that leads nowhere.
type Unreadable struct {
	Path string
	Err  error // why, without the path
}

func (u Unreadable) String() string { return fmt.Sprintf("%s: %v", u.Path, u.Err) }

// ByStem returns the files by their stems, the first of each, and the pairs of files that have one stem.
func (l *Listing) ByStem() (files map[string]File, same [][2]File) {
	files = make(map[string]File, len(l.Files))
	for _, f := range l.Files {
		if other, ok := files[f.Stem]; ok {
			same = append(same, [2]File{other, f})
			continue
		}
		files[f.Stem] = f
	}
	return files, same
}

// Images finds the image files of a folder or a link to one. It fails if the folder itself can't be read or ctx ends; a
// folder without images is no error.
func Images(ctx context.Context, folder string, o Options) (*Listing, error) {
	return newWalker(ctx, folder, o).images()
}

type walker struct {
	ctx     context.Context
	o       Options
	readDir func(string) ([]fs.DirEntry, error)
	except  []fs.FileInfo
	l       *Listing
}

func newWalker(ctx context.Context, root string, o Options) *walker {
	if o.Named == nil {
		o.Named = IsImage
	}
	w := &walker{ctx: ctx, o: o, readDir: os.ReadDir, l: &Listing{Root: root}}
	for _, folder := range o.Except {
		if info, err := os.Stat(folder); err == nil { // one that isn't there isn't entered either
			w.except = append(w.except, info)
		}
	}
	return w
}

func (w *walker) images() (*Listing, error) {
	info, err := os.Stat(w.l.Root)
	if err != nil {
		return nil, Plain(err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is a file: want a folder of images", w.l.Root)
	}
	entries, err := w.readDir(w.l.Root)
	if err != nil && len(entries) == 0 {
		return nil, Plain(err)
	}
	start, realErr := w.start(info)
	if realErr != nil {
		return nil, Plain(realErr)
	}
	return w.finish(w.enter(start, entries, err))
}

func (w *walker) start(info fs.FileInfo) (place, error) {
	real, err := filepath.EvalSymlinks(w.l.Root)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	return place{path: w.l.Root, real: real, chain: []folder{{real, info}}}, err
}

// finish sorts what was found and passes over the program's own images.
func (w *walker) finish(err error) (*Listing, error) {
	if err != nil {
		return nil, err
	}
	l := w.l
	slices.SortFunc(l.Files, func(a, b File) int {
		return cmp.Or(cmp.Compare(a.Stem, b.Stem), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(l.Unreadable, func(a, b Unreadable) int { return cmp.Compare(a.Path, b.Path) })
	return l, l.passOutputs(w.ctx, w.o.Outputs)
}

// place is a folder on the way of a search.
type place struct {
	path, name string
	real       string   // path without links
	chain      []folder // those from the root to this one
	// linked are the folders reached by links since the first link on the way from the root; nil before it. Inside a
	// linked folder each folder is entered once, or folders linked to each other could be walked in too many ways.
	linked *[]fs.FileInfo
}

type folder struct {
	real string // path without links
	info fs.FileInfo
}

// isIn reports whether f is, or is inside, the other folder.
func (f folder) isIn(real string, info fs.FileInfo) bool {
	const separator = string(filepath.Separator)
	return os.SameFile(f.info, info) || strings.HasPrefix(f.real, strings.TrimSuffix(real, separator)+separator)
}

func (w *walker) enter(p place, entries []fs.DirEntry, err error) error {
	if err != nil {
		w.unreadable(p.path, err) // what could be read of it is used
	}
	for _, e := range entries {
		if err := w.ctx.Err(); err != nil {
			return context.Cause(w.ctx)
		}
		if Hidden(e.Name()) {
			continue
		}
		if err := w.visit(p, e.Name(), e.Type()); err != nil {
			return err
		}
	}
	return nil
}

// visit adds a file or enters a folder of p.
func (w *walker) visit(p place, name string, kind fs.FileMode) error {
	path, below := filepath.Join(p.path, name), name
	if p.name != "" {
		below = p.name + "/" + name
	}
	link := kind&fs.ModeSymlink != 0
	if kind.IsRegular() || !link && !kind.IsDir() {
		w.file(path, below, kind)
		return nil
	}
	if w.o.Flat && !link {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		if !link || w.o.Named(name) || filepath.Ext(name) == "" { // other links are no images, wherever they lead
			if errors.Is(err, fs.ErrNotExist) {
				err = errors.New("the link is broken")
			}
			w.unreadable(path, err)
		}
		return nil
	case !info.IsDir():
		w.file(path, below, info.Mode())
		return nil
	case w.o.Flat:
		return nil
	}
	is := func(other fs.FileInfo) bool { return os.SameFile(info, other) }
	real := filepath.Join(p.real, name)
	if link {
		if real, err = filepath.EvalSymlinks(real); err != nil {
			w.unreadable(path, err)
			return nil
		}
	}
	isIn := func(f folder) bool { return f.isIn(real, info) }
	if slices.ContainsFunc(p.chain, isIn) || slices.ContainsFunc(w.except, is) {
		return nil
	}
	chain := append(slices.Clip(p.chain), folder{real, info})
	inside := place{path: path, name: below, real: real, chain: chain, linked: p.linked}
	if link {
		if inside.linked == nil {
			inside.linked = new([]fs.FileInfo)
		}
		if slices.ContainsFunc(*inside.linked, is) {
			return nil
		}
		*inside.linked = append(*inside.linked, info)
	}
	entries, err := w.readDir(path)
	return w.enter(inside, entries, err)
}

func (w *walker) file(path, name string, kind fs.FileMode) {
	switch {
	case !w.o.Named(name):
	case !kind.IsRegular():
		w.unreadable(path, errors.New("not a file"))
	default:
		w.l.Files = append(w.l.Files, File{Path: path, Name: name, Stem: Stem(name)})
	}
}

func (w *walker) unreadable(path string, err error) {
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	w.l.Unreadable = append(w.l.Unreadable, Unreadable{path, err})
}

// Plain returns the error of a file system as users read it: the path, then what is wrong, without the name of a call.
func Plain(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return fmt.Errorf("%s: %w", of.Path, of.Err)
	}
	return err
}
