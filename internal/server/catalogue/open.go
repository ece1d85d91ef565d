package catalogue

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/histdist/histdist/data/slide"
)

// opened are the slides that are open: those in use, and as many others as maxOpen leaves room for.
type opened struct {
	lock   sync.Mutex
	byID   map[string]*list.Element // of *handle; the last one opened of an identifier
	order  list.List                // of *handle, the one used last in front
	closed bool
}

// handle is an open slide.
type handle struct {
	id    string
	state state
	open  func() (*slide.Slide, error) // once
	users int
	stale bool // another has taken its place: it is closed when it is not used any more
}

// Open opens the slide, or shares it with others who use it. release is to be called when it is no longer read.
func (s *Slide) Open(ctx context.Context) (_ *slide.Slide, release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	now, err := s.current()
	if err != nil {
		return nil, nil, err
	}
	if err := s.failure(now); err != nil {
		return nil, nil, err
	}
	o := &s.catalogue.opened
	h := o.take(s, now)
	release = sync.OnceFunc(func() { o.release(h) })
	opened, err := h.open()
	if err != nil {
		o.forget(h)
		release()
		err = notFound(err)
		s.fail(now, err)
		return nil, nil, err
	}
	return opened, release, nil
}

// OpenFresh opens the slide for the caller alone, who closes it.
func (s *Slide) OpenFresh() (*slide.Slide, error) {
	now, err := s.current()
	if err != nil {
		return nil, err
	}
	opened, err := slide.Open(now.path, s.options)
	return opened, notFound(err)
}

// patience is how long a file that can't be opened isn't tried again.
const patience = 10 * time.Second

// failure is why the file could not be opened a moment ago.
func (s *Slide) failure(now state) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.failed != nil && s.metaOf == now && time.Since(s.tried) < patience {
		return s.failed
	}
	return nil
}

func (s *Slide) fail(now state, err error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.failed, s.metaOf, s.meta, s.tried = err, now, Meta{}, time.Now()
}

// take returns the handle of a slide, which is used once more.
func (o *opened) take(s *Slide, now state) *handle {
	o.lock.Lock()
	defer o.lock.Unlock()
	if at := o.byID[s.ID]; at != nil {
		h := at.Value.(*handle)
		if h.state == now {
			h.users++
			o.order.MoveToFront(at)
			return h
		}
		o.drop(at)
	}
	if o.byID == nil {
		o.byID = map[string]*list.Element{}
	}
	options := s.options
	h := &handle{id: s.ID, state: now, users: 1, open: sync.OnceValues(func() (*slide.Slide, error) {
		return slide.Open(now.path, options)
	})}
	o.byID[s.ID] = o.order.PushFront(h)
	for at := o.order.Back(); at != nil && o.order.Len() > maxOpen; {
		before := at.Prev()
		if at.Value.(*handle).users == 0 {
			o.drop(at)
		}
		at = before
	}
	return h
}

// drop takes a handle out, and closes it unless it is in use.
func (o *opened) drop(at *list.Element) {
	h := o.order.Remove(at).(*handle)
	delete(o.byID, h.id)
	h.stale = true
	if h.users == 0 {
		_ = h.close() // it was only read
	}
}

// forget takes out a handle that has failed.
func (o *opened) forget(h *handle) {
	o.lock.Lock()
	defer o.lock.Unlock()
	if at := o.byID[h.id]; at != nil && at.Value == h {
		o.drop(at)
	}
}

func (o *opened) release(h *handle) {
	o.lock.Lock()
	defer o.lock.Unlock()
	h.users--
	if h.users == 0 && (h.stale || o.closed) {
		_ = h.close() // it was only read
	}
}

// close closes the slide of a handle that nobody uses.
func (h *handle) close() error {
	s, err := h.open()
	if err != nil {
		return nil // it never was open
	}
	return s.Close()
}

func (o *opened) count() int {
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.order.Len()
}

func (o *opened) close() error {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.closed = true
	var errs []error
	for at := o.order.Front(); at != nil; at = at.Next() {
		if h := at.Value.(*handle); h.users == 0 {
			errs = append(errs, h.close())
		}
	}
	o.order.Init()
	clear(o.byID)
	return errors.Join(errs...)
}

// Meta is what is known of a slide from its header.
type Meta struct {
	Width, Height int        // of level 0
	MPP           [2]float64 // µm per pixel; 0 if unknown
	Vendor        string
	Magnification float64 // of the objective; 0 if unknown
	Levels        []slide.Level
	Associated    []string // names of other images, such as label and macro

	hash string // of the slide, by OpenSlide
}

// Meta opens the slide if needed, and says what its header does. Its error has the file's path: see Scrub.
func (s *Slide) Meta(ctx context.Context) (Meta, error) {
	now, err := s.current()
	if err != nil {
		return Meta{}, err
	}
	s.lock.Lock()
	known, of, failed := s.meta, s.metaOf, s.failed
	s.lock.Unlock()
	if of == now && failed == nil {
		return known, nil
	}
	opened, release, err := s.Open(ctx)
	if err != nil {
		return Meta{}, err
	}
	defer release()
	info := opened.Info()
	m := Meta{
		Width: opened.Width, Height: opened.Height, MPP: opened.MPP, Vendor: info.Vendor, Magnification: info.Magnification,
		Levels: info.Levels, Associated: info.Associated,
	}
	for _, p := range info.Properties {
		if p.Name == "openslide.quickhash-1" {
			m.hash = p.Value
		}
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.meta, s.metaOf, s.failed = m, now, nil
	return m, nil
}
