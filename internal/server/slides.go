package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/server/catalogue"
)

// slideQuality is that of JPEG made of slides, resultQuality of stains, which have less noise to hide errors in.
const (
	slideQuality  = 85
	resultQuality = 90
)

// openSlides opens the folders of slides.
func (s *Server) openSlides(ctx context.Context) error {
	key, err := readKey(filepath.Join(s.state, "key"))
	if err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	c, err := catalogue.New(catalogue.Options{Folders: s.settings.Slides, Key: key, Bytes: s.settings.CacheBytes})
	if err != nil {
		return fmt.Errorf("--slides: %w", err)
	}
	s.catalogue = c
	s.metrics.counter("histdist_tiles_from_cache_total", "Tiles and regions that were sent from memory.",
		func() float64 { return float64(c.Statistics().Hits) })
	s.metrics.counter("histdist_tiles_made_total", "Tiles and regions that were made.",
		func() float64 { return float64(c.Statistics().Misses) })
	s.metrics.gauge("histdist_tiles_bytes", "Memory of finished tiles and regions.",
		func() float64 { return float64(c.Statistics().Bytes) })
	s.metrics.gauge("histdist_slides_open", "Slides that are open.",
		func() float64 { return float64(c.Statistics().Open) })
	return s.openUploads(ctx)
}

// readKey reads the secret that identifiers are made with, or makes one.
func readKey(path string) ([]byte, error) {
	const length = 32
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, length)
		_, _ = rand.Read(key) // never fails
		if err = atomicfile.Write(path, key); err == nil {
			err = os.Chmod(path, 0o600)
		}
	}
	if err == nil && len(key) != length {
		err = fmt.Errorf("%s: want %d bytes: remove it to get new identifiers of slides", path, length)
	}
	return key, err
}

func (s *Server) closeSlides() error {
	s.closeUploads()
	if s.catalogue == nil {
		return nil
	}
	return s.catalogue.Close()
}

func (s *Server) slideRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/slides", handle: s.listSlides},
		{pattern: "GET /api/v1/slides/{slide}", handle: s.oneSlide},
		{pattern: "GET /api/v1/slides/{slide}/tissue", handle: s.tissue},
		{
			pattern: "GET /api/v1/slides/{slide}/associated/{file}", path: "/api/v1/slides/{slide}/associated/{name}.jpg",
			handle: s.associated,
		},
	}
}

// slideAnswer is a slide in an answer.
type slideAnswer struct {
	ID            string      `json:"id"`
	Name          string      `json:"name"`
	Width         int         `json:"width,omitempty"`
	Height        int         `json:"height,omitempty"`
	MPP           *[2]float64 `json:"mpp,omitempty"` // not there if it is unknown
	Vendor        string      `json:"vendor,omitempty"`
	Magnification float64     `json:"magnification,omitempty"` // not there if it is unknown
	Error         string      `json:"error,omitempty"`         // why it can't be read

	Levels     []levelAnswer `json:"levels,omitempty"` // of one slide, not in lists
	Associated []string      `json:"associated,omitempty"`
}

type levelAnswer struct {
	Width      int     `json:"width"`
	Height     int     `json:"height"`
	Downsample float64 `json:"downsample"`
}

func (s *Server) describe(ctx context.Context, one *catalogue.Slide) (slideAnswer, catalogue.Meta) {
	a := slideAnswer{ID: one.ID, Name: one.Name}
	m, err := one.Meta(ctx)
	if err != nil {
		a.Error = one.Scrub(err.Error())
		return a, m
	}
	a.Width, a.Height, a.Vendor, a.Magnification = m.Width, m.Height, m.Vendor, m.Magnification
	if m.MPP[0] > 0 {
		a.MPP = &m.MPP
	}
	return a, m
}

func (s *Server) listSlides(w http.ResponseWriter, r *http.Request) error {
	list, err := s.catalogue.List(r.Context())
	if err != nil {
		return err
	}
	answers := []slideAnswer{}
	for _, one := range list {
		a, _ := s.describe(r.Context(), one)
		answers = append(answers, a)
	}
	return reply(w, http.StatusOK, answers)
}

func (s *Server) oneSlide(w http.ResponseWriter, r *http.Request) error {
	one, err := s.slide(r.Context(), userOf(r), r.PathValue("slide"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.detailed(r.Context(), one))
}

// detailed describes one slide with its levels.
func (s *Server) detailed(ctx context.Context, one *catalogue.Slide) slideAnswer {
	a, m := s.describe(ctx, one)
	for _, l := range m.Levels {
		a.Levels = append(a.Levels, levelAnswer{l.Width, l.Height, (l.Downsample[0] + l.Downsample[1]) / 2})
	}
	if s.settings.ShowLabels {
		a.Associated = m.Associated
	}
	return a
}

// slide finds a slide of the folders, or an upload of the user.
func (s *Server) slide(ctx context.Context, user, id string) (*catalogue.Slide, error) {
	if one := s.upload(user, id); one != nil {
		return one, nil
	}
	one, err := s.catalogue.Find(ctx, id)
	if errors.Is(err, catalogue.ErrNotFound) {
		return nil, problem(http.StatusNotFound, "there is no such slide")
	}
	return one, err
}

// image finds what can be shown: a slide, or the stain of a finished job.
func (s *Server) image(ctx context.Context, user, id string) (one *catalogue.Slide, quality int, err error) {
	if s.upload(user, id) == nil && s.catalogue.Known(id) == nil { // or else the queue need not be asked
		if one, err = s.stainImage(ctx, user, id); one != nil || err != nil {
			return one, resultQuality, err
		}
	}
	one, err = s.slide(ctx, user, id)
	return one, slideQuality, err
}

// unreadable is what a client is told of an error of reading a slide.
func unreadable(one *catalogue.Slide, err error) error {
	switch {
	case errors.Is(err, catalogue.ErrNotFound):
		return problem(http.StatusNotFound, "there is no such slide")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return problem(http.StatusUnprocessableEntity, "the slide can't be read: %s", one.Scrub(err.Error()))
}

func (s *Server) tissue(w http.ResponseWriter, r *http.Request) error {
	one, err := s.slide(r.Context(), userOf(r), r.PathValue("slide"))
	if err != nil {
		return err
	}
	data, tag, err := one.Tissue(r.Context())
	if err != nil {
		return unreadable(one, err)
	}
	return send(w, r, data, tag, "application/geo+json")
}

func (s *Server) associated(w http.ResponseWriter, r *http.Request) error {
	missing := problem(http.StatusNotFound, "there is no such image, or it is not shown: labels show patients' names")
	name, ok := strings.CutSuffix(r.PathValue("file"), ".jpg")
	if !ok || !s.settings.ShowLabels {
		return missing
	}
	one, err := s.slide(r.Context(), userOf(r), r.PathValue("slide"))
	if err != nil {
		return err
	}
	m, err := one.Meta(r.Context())
	if err != nil {
		return unreadable(one, err)
	}
	for _, known := range m.Associated {
		if known == name {
			data, tag, err := one.Associated(r.Context(), name, resultQuality)
			if err != nil {
				return unreadable(one, err)
			}
			return send(w, r, data, tag, "image/jpeg")
		}
	}
	return missing
}
