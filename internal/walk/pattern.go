package walk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// IsPattern reports whether a path has one of the characters by which a pattern fits several names.
func IsPattern(path string) bool { return special(path) >= 0 }

// special is where a path has the first of these characters; negative for none. The beginning of Windows' long paths,
// \\?\C:\slides, has another meaning.
func special(path string) int {
	volume := len(filepath.VolumeName(path))
	at := strings.IndexAny(path[volume:], "*?[")
	if at < 0 {
		return at
	}
	return volume + at
}

// Pattern finds the image files that match a pattern such as slides/*.jpg or cohort/case-*: see filepath.Match. A
// matching folder stands for its images. Extensions match in either case, hidden names only if the pattern has their
// dot. Names are relative to the last folder before the first special character. No match is no error.
func Pattern(ctx context.Context, pattern string, o Options) (*Listing, error) {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("pattern %q: a bracket that is not closed", pattern)
	}
	root := filepath.Dir(pattern[:special(pattern)] + "x")
	rest, err := filepath.Rel(root, pattern)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	info, err := os.Stat(root)
	if errors.Is(err, fs.ErrNotExist) {
		return &Listing{Root: root}, nil
	}
	if err != nil {
		return nil, Plain(err)
	}
	elements := strings.Split(norm.NFC.String(filepath.ToSlash(rest)), "/")
	w := newWalker(ctx, root, o)
	start, err := w.start(info)
	if err != nil {
		return nil, Plain(err)
	}
	return w.finish(w.match(start, elements))
}

// match visits what fits the elements of a pattern below a folder.
func (w *walker) match(p place, elements []string) error {
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	entries, err := w.readDir(p.path)
	if err != nil {
		w.unreadable(p.path, err)
	}
	for _, e := range entries {
		name := e.Name()
		if Hidden(name) && !strings.HasPrefix(elements[0], ".") {
			continue
		}
		if !fits(elements[0], name) {
			continue
		}
		if len(elements) == 1 {
			if err := w.visit(p, name, e.Type()); err != nil {
				return err
			}
			continue
		}
		inside := place{path: filepath.Join(p.path, name), name: strings.TrimPrefix(p.name+"/"+name, "/"), linked: p.linked}
		info, err := os.Stat(inside.path)
		if err != nil || !info.IsDir() {
			continue
		}
		if inside.real, err = filepath.EvalSymlinks(filepath.Join(p.real, name)); err != nil {
			continue
		}
		inside.chain = append(slices.Clip(p.chain), folder{inside.real, info})
		if err := w.match(inside, elements[1:]); err != nil {
			return err
		}
	}
	return nil
}

// fits reports whether a name matches a valid element of a pattern in NFC. On Windows case doesn't count.
func fits(element, name string) bool {
	name = norm.NFC.String(name)
	if runtime.GOOS == "windows" {
		element, name = strings.ToLower(element), strings.ToLower(name)
	}
	exactly, _ := filepath.Match(element, name)
	likewise, _ := filepath.Match(withLowerExtension(element), withLowerExtension(name))
	return exactly || likewise
}

func withLowerExtension(name string) string {
	ext := filepath.Ext(name)
	return strings.TrimSuffix(name, ext) + strings.ToLower(ext)
}
