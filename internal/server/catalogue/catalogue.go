package catalogue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/internal/parallel"
)

// Options say what a catalogue has.
type Options struct {
	Folders []string // of slides, with their sub-folders
	// Key makes identifiers of paths. With the same key and folders they are the same.
	Key []byte
	// Bytes limit the memory of tiles: half of it is for finished ones, half for decoded parts of open slides.
	Bytes int64
}

// ErrNotFound says that there is no slide of an identifier, or no longer.
var ErrNotFound = errors.New("no such slide")

// ErrFolder says that a folder of slides can't be read, such as that of a share which isn't there at the moment.
var ErrFolder = errors.New("a folder of slides can't be read")

const (
	maxOpen  = 16     // slides that are open without being read
	maxFiles = 50_000 // that a catalogue lists

	fresh = time.Second // how long what is known of files and folders is not asked for again
)

// Catalogue has slides. It may be used by several goroutines.
type Catalogue struct {
	folders []folder
	key     []byte
	cache   *cache
	opened  opened
	perOpen int // bytes of decoded parts that an open slide keeps

	lock   sync.Mutex
	slides map[string]*Slide // of the folders, by identifier
	walked time.Time
}

// folder is a folder of slides.
type folder struct {
	named string // as it was given, absolute
	real  string // without links
}

// New looks at the folders, which must exist, and lists nothing yet.
func New(o Options) (*Catalogue, error) {
	c := &Catalogue{
		key: o.Key, cache: newCache(o.Bytes/2, runtime.GOMAXPROCS(0)), perOpen: int(o.Bytes / 2 / maxOpen),
		slides: map[string]*Slide{},
	}
	for _, name := range o.Folders {
		absolute, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		real, err := filepath.EvalSymlinks(absolute)
		if err != nil {
			return nil, err // names the path
		}
		if info, err := os.Stat(real); err != nil {
			return nil, err
		} else if !info.IsDir() {
			return nil, fmt.Errorf("%s is a file: name a folder of slides", name)
		}
		c.folders = append(c.folders, folder{absolute, real})
	}
	return c, nil
}

// Close closes all slides. No other call may run or follow.
func (c *Catalogue) Close() error {
	c.cache.close()
	return c.opened.close()
}

// List looks for slides and returns them, by folder and path.
func (c *Catalogue) List(ctx context.Context) ([]*Slide, error) {
	list, err := c.walk(ctx)
	if err != nil {
		return nil, err
	}
	// What is in their headers, of a few at a time: folders may be far away.
	const atOnce = 8
	err = parallel.Each(ctx, len(list), atOnce, func(i int) error {
		_, _ = list[i].Meta(ctx) // keeps its error
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return withoutCopies(list), nil
}

// Known returns the slide of an identifier, nil unless it has been listed or found before.
func (c *Catalogue) Known(id string) *Slide {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.slides[id]
}

// Find returns the slide of an identifier, or ErrNotFound. It looks for new files if it doesn't know it.
func (c *Catalogue) Find(ctx context.Context, id string) (*Slide, error) {
	c.lock.Lock()
	s, walked := c.slides[id], c.walked
	c.lock.Unlock()
	if s == nil && len(id) == idLength && time.Since(walked) > fresh {
		if _, err := c.walk(ctx); err != nil {
			return nil, err
		}
		s = c.Known(id)
	}
	if s == nil {
		return nil, ErrNotFound
	}
	return s, nil
}

// File returns a slide that is none of the folders': a file of the server itself, at a path that nobody else chose.
func (c *Catalogue) File(id, path, name string, o slide.Options) *Slide {
	o.CacheBytes = c.perOpen
	return &Slide{ID: id, Name: name, catalogue: c, path: path, options: o}
}

// Drop closes the file of an identifier, at once or when nobody reads it any more: it is being deleted.
func (c *Catalogue) Drop(id string) {
	c.opened.lock.Lock()
	defer c.opened.lock.Unlock()
	if at := c.opened.byID[id]; at != nil {
		c.opened.drop(at)
	}
}

// Statistics say how well the cache of tiles does.
type Statistics struct {
	Hits, Misses int64 // of finished tiles
	Bytes        int64 // of finished tiles that are kept
	Open         int   // slides
}

// Statistics returns what has happened so far.
func (c *Catalogue) Statistics() Statistics {
	s := c.cache.statistics()
	s.Open = c.opened.count()
	return s
}
