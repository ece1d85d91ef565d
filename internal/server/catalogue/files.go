package catalogue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/histdist/histdist/data/slide"
)

// Slide is a file that may be a slide.
type Slide struct {
	ID   string
	Name string // of the file, without its folder

	catalogue *Catalogue
	folder    *folder // nil: the path is the server's own
	path      string  // in the folder, or absolute
	options   slide.Options

	lock    sync.Mutex
	state   state
	checked time.Time
	meta    Meta // of the state metaOf
	metaOf  state
	failed  error // why there is no meta
	tried   time.Time
}

// state is what a file is at a time.
type state struct {
	path    string // without links
	size    int64
	changed time.Time
}

// text is the state as one text.
func (s state) text() string {
	return strconv.FormatInt(s.size, 36) + " " + strconv.FormatInt(s.changed.UnixNano(), 36)
}

// current returns what the file is now, or a little earlier. It is ErrNotFound that it is gone, or that a link on its
// path leads out of the folders.
func (s *Slide) current() (state, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if time.Since(s.checked) < fresh {
		return s.state, nil
	}
	now, err := s.look()
	if err != nil {
		s.checked = time.Time{}
		return state{}, err
	}
	s.state, s.checked = now, time.Now()
	return now, nil
}

// Forget makes the next call look at the file, whenever the last one did.
func (s *Slide) Forget() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.checked = time.Time{}
}

func (s *Slide) look() (state, error) {
	path := s.path
	if s.folder != nil {
		var err error
		if path, err = s.catalogue.confined(filepath.Join(s.folder.real, s.path)); err != nil {
			return state{}, err
		}
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return state{}, ErrNotFound
	}
	return state{path, info.Size(), info.ModTime()}, nil
}

// confined returns a path without links, if it is inside one of the folders, else ErrNotFound.
func (c *Catalogue) confined(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", ErrNotFound
	}
	for _, f := range c.folders {
		if inside, err := filepath.Rel(f.real, real); err == nil && filepath.IsLocal(inside) {
			return real, nil
		}
	}
	return "", ErrNotFound
}

// Path returns where the file is, without links.
func (s *Slide) Path() (string, error) {
	now, err := s.current()
	return now.path, err
}

// Tag identifies the file's content as far as size and time of change do.
func (s *Slide) Tag() (string, error) {
	now, err := s.current()
	if err != nil {
		return "", err
	}
	return s.catalogue.digest("content", s.ID, now.text()), nil
}

// Scrub replaces what says where or what the file is in a text, such as an error's.
func (s *Slide) Scrub(text string) string {
	s.lock.Lock()
	real := s.state.path
	s.lock.Unlock()
	path := s.path
	if s.folder != nil {
		path = filepath.Join(s.folder.named, s.path)
		text = scrub(text, filepath.Join(s.folder.real, s.path), s.ID)
	}
	for _, name := range []string{real, path, filepath.Base(real), filepath.Base(path), s.Name} {
		text = scrub(text, name, s.ID)
	}
	return text
}

func scrub(text, name, id string) string {
	if len(name) < 2 { // "." of an empty path
		return text
	}
	return strings.ReplaceAll(text, name, "slide "+id)
}

// walk lists the files of the folders and keeps those that were known.
func (c *Catalogue) walk(ctx context.Context) ([]*Slide, error) {
	var list []*Slide
	for i := range c.folders {
		f := &c.folders[i]
		err := filepath.WalkDir(f.real, func(path string, e fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil && path == f.real:
				return fmt.Errorf("%w: %w", ErrFolder, err)
			case err != nil:
				return nil // a folder that can't be read hides its own slides alone
			case path == f.real:
				return nil
			case strings.HasPrefix(e.Name(), ".") || e.IsDir() && strings.HasSuffix(e.Name(), ".parts"):
				if e.IsDir() {
					return filepath.SkipDir
				}
				return nil
			case e.IsDir() || !isSlide(e.Name()):
				return nil
			case len(list) >= maxFiles:
				return fs.SkipAll
			}
			if e.Type()&fs.ModeSymlink != 0 {
				if _, err := c.confined(path); err != nil {
					return nil
				}
			}
			inside, err := filepath.Rel(f.real, path)
			if err != nil {
				return err
			}
			list = append(list, &Slide{
				ID: c.digest("slide", f.named, filepath.ToSlash(inside)), Name: e.Name(), catalogue: c, folder: f, path: inside,
				options: slide.Options{AnyMPP: true, CacheBytes: c.perOpen},
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	now := make(map[string]*Slide, len(list))
	for i, s := range list {
		if known := c.slides[s.ID]; known != nil {
			list[i] = known
		}
		now[s.ID] = list[i]
	}
	c.slides, c.walked = now, time.Now()
	return list, nil
}

// isSlide reports whether a file's name may be a slide's.
func isSlide(name string) bool {
	extension := strings.ToLower(filepath.Ext(name))
	return slide.Named(name) || extension == ".tif" || extension == ".tiff"
}

// withoutCopies leaves out files that are a part of another's slide: the levels of a DICOM slide are files of one
// folder, and each opens all of it.
func withoutCopies(list []*Slide) []*Slide {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(s *Slide) bool {
		s.lock.Lock()
		defer s.lock.Unlock()
		if s.meta.hash == "" || s.meta.Vendor != "dicom" {
			return false
		}
		key := filepath.Dir(s.state.path) + "\x00" + s.meta.hash
		again := seen[key]
		seen[key] = true
		return again
	})
}

// notFound makes ErrNotFound of errors that mean it.
func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}
