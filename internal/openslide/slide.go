//go:build ((linux && !android) || darwin || windows) && (amd64 || arm64)

package openslide

import (
	"errors"
	"fmt"
	"math"
	"sync"
)

// Slide is an opened slide. After an error of reading OpenSlide reads nothing more of it.
type Slide struct {
	l      *Library
	lock   sync.RWMutex // reading shares it, Close owns it
	handle uintptr      // 0 after Close
}

// errClosed is an error of the program, not of the file.
var errClosed = errors.New("openslide: the slide is closed")

// failure is the error that the slide is in.
func (s *Slide) failure() error {
	if text := s.l.c.lastError(s.handle); text != "" {
		return errors.New(text)
	}
	return nil
}

// Close releases the slide, after all readers have returned.
func (s *Slide) Close() error {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.handle != 0 {
		s.l.c.close(s.handle)
		s.handle = 0
	}
	return nil
}

// use calls f with the slide open and returns the error that the slide is in afterwards.
func (s *Slide) use(f func(c *calls)) error {
	s.lock.RLock()
	defer s.lock.RUnlock()
	if s.handle == 0 {
		return errClosed
	}
	f(&s.l.c)
	return s.failure()
}

// Levels returns the levels, largest first.
func (s *Slide) Levels() ([]Level, error) {
	var levels []Level
	err := s.use(func(c *calls) {
		for i := range c.levelCount(s.handle) {
			var l Level
			c.dimensions(s.handle, i, &l.Width, &l.Height)
			l.Downsample = c.downsample(s.handle, i)
			levels = append(levels, l)
		}
	})
	return levels, err
}

// Properties returns what the file says of the slide, and what OpenSlide makes of that ("openslide.mpp-x").
func (s *Slide) Properties() (map[string]string, error) {
	all := map[string]string{}
	err := s.use(func(c *calls) {
		for _, name := range stringList(c.propertyNames(s.handle)) {
			all[name] = c.property(s.handle, name)
		}
	})
	return all, err
}

// ICC returns the colour profile of the levels; nil without one, or before version 4 of OpenSlide.
func (s *Slide) ICC() ([]byte, error) {
	if s.l.c.iccSize == nil || s.l.c.readICC == nil {
		return nil, nil
	}
	const longest = 64 << 20
	var profile []byte
	var size int64
	err := s.use(func(c *calls) {
		if size = c.iccSize(s.handle); size > 0 && size <= longest {
			profile = make([]byte, size)
			c.readICC(s.handle, &profile[0])
		}
	})
	if err == nil && size > longest {
		err = fmt.Errorf("openslide: a colour profile of %d bytes; at most %d are read", size, longest)
	}
	return profile, err
}

// Read reads a region of a level into pix [height,width], premultiplied ARGB. x and y are in pixels of level 0; what
// lies outside the slide, or was not scanned, is 0.
func (s *Slide) Read(pix []uint32, level int, x, y int64, width, height int) error {
	switch {
	case width < 0 || height < 0 || len(pix) != width*height:
		return fmt.Errorf("openslide: %d values for a region of %d×%d pixels", len(pix), width, height)
	case len(pix) == 0:
		return nil
	}
	return s.use(func(c *calls) {
		c.readRegion(s.handle, &pix[0], x, y, int32(level), int64(width), int64(height))
	})
}

// Associated returns the names of the images that belong to the slide: "label", "macro", "thumbnail".
func (s *Slide) Associated() ([]string, error) {
	var names []string
	err := s.use(func(c *calls) { names = stringList(c.imageNames(s.handle)) })
	return names, err
}

// ReadAssociated reads such an image, [height,width] premultiplied ARGB.
func (s *Slide) ReadAssociated(name string, maxPixels int) (pix []uint32, width, height int, err error) {
	var w, h int64
	err = s.use(func(c *calls) {
		c.imageSize(s.handle, name, &w, &h)
		if w < 1 || h < 1 || w > math.MaxInt32 || h > math.MaxInt32 || w*h > int64(maxPixels) {
			return
		}
		pix = make([]uint32, w*h)
		c.readImage(s.handle, name, &pix[0])
	})
	if err == nil && pix == nil {
		err = fmt.Errorf("openslide: the associated image %q has %d×%d pixels; at most %d are read", name, w, h, maxPixels)
	}
	return pix, int(w), int(h), err
}
