package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"image"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/server/queue"
)

// maxPNG is the number of pixels of the largest PNG file: what image viewers open.
const maxPNG = 64 << 20

// result is a finished job of the user's.
func (s *Server) result(r *http.Request) (job queue.Job, c jobRecord, err error) {
	if job, err = s.ownJob(r); err != nil {
		return job, c, err
	}
	if job.State != queue.Done {
		return job, c, problem(http.StatusNotFound, "the job has no result: it is %s", job.State)
	}
	c, err = recordOf(job)
	return job, c, err
}

// sendFile sends a file of a job, or a part of it, to be saved under the slide's name with an ending.
func (s *Server) sendFile(
	w http.ResponseWriter, r *http.Request, job queue.Job, c jobRecord, name, media, end string,
) error {
	f, err := os.Open(filepath.Join(s.jobs.queue.Folder(job.ID), name))
	if errors.Is(err, os.ErrNotExist) { // it was deleted in between, or could not be made
		return problem(http.StatusNotFound, "the job has no such result")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	s.headers(w, job, c, name, media, end)
	http.ServeContent(w, r, "", job.Ended, f)
	return nil
}

// headers describe a file of a finished job. What has been made doesn't change.
func (s *Server) headers(w http.ResponseWriter, job queue.Job, c jobRecord, name, media, end string) {
	h := w.Header()
	h.Set("Content-Type", media)
	h.Set("ETag", `"`+job.ID+"-"+name+`"`)
	h.Set("Cache-Control", keepTime)
	h.Set("Vary", "Authorization")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(c) + end}))
}

// fileName is the name of a job's results without its ending: the slide's and the marker's.
func fileName(c jobRecord) string {
	name := strings.ToLower(c.SlideName)
	for _, end := range []string{".ome.tiff", ".ome.tif", filepath.Ext(name)} {
		if strings.HasSuffix(name, end) {
			name = c.SlideName[:len(c.SlideName)-len(end)]
			break
		}
	}
	plain := func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(`/\:*?"<>|`, r) {
			return '-'
		}
		return r
	}
	return strings.Map(plain, cmp.Or(name, "slide")+"-"+strings.ToLower(cmp.Or(c.Marker, "ihc")))
}

func (s *Server) stain(w http.ResponseWriter, r *http.Request) error {
	job, c, err := s.result(r)
	if err != nil {
		return err
	}
	return s.sendFile(w, r, job, c, stainFile, "image/tiff", ".ome.tiff")
}

func (s *Server) stainArea(w http.ResponseWriter, r *http.Request) error {
	job, c, err := s.result(r)
	if err != nil {
		return err
	}
	return s.sendFile(w, r, job, c, areaFile, "application/geo+json", "-area.geojson")
}

// stainPNG sends the region, or the whole stain, as PNG. The file is made when it is first asked for.
func (s *Server) stainPNG(w http.ResponseWriter, r *http.Request) error {
	job, c, err := s.result(r)
	if err != nil {
		return err
	}
	part := c.shown()
	if n := pixelsOf(part); n > maxPNG {
		return problem(http.StatusNotAcceptable, "the stain has %d pixels, and PNG files at most %d: "+
			"take %s, or translate a region", n, maxPNG, stainFile)
	}
	if err := s.drawPNG(r.Context(), job.ID, part); err != nil {
		return err
	}
	return s.sendFile(w, r, job, c, pngFile, "image/png", ".png")
}

// drawPNG makes the PNG file of a job unless it is there, one file at a time.
func (s *Server) drawPNG(ctx context.Context, id string, part image.Rectangle) (err error) {
	done, err := s.jobs.drawing.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	folder := s.jobs.queue.Folder(id)
	path := filepath.Join(folder, pngFile)
	if there, err := exists(path); err != nil || there {
		return err
	}
	stain, err := openStain(folder)
	if errors.Is(err, os.ErrNotExist) {
		return errNoJob
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stain.Close()) }()
	f, err := atomicfile.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	y := part.Min.Y
	err = imagefile.WritePNG(f, part.Dx(), part.Dy(), provenanceTexts(stain), func() ([]uint8, error) {
		const rows = 256
		band := image.Rect(part.Min.X, y, part.Max.X, min(y+rows, part.Max.Y))
		y = band.Max.Y
		m, err := stain.Whole().Read(ctx, band)
		if err != nil {
			return nil, err
		}
		return m.Pix, nil
	})
	if err != nil {
		return err
	}
	if err := f.Commit(); err != nil {
		return err
	}
	return s.jobs.queue.Weigh(ctx, id)
}

// statements are what a stain says of its origin, by their keys.
func statements(stain *slide.Slide) (list []slide.Property) {
	for _, p := range stain.Info().Properties {
		if !strings.HasPrefix(p.Name, "ome.") && !strings.HasPrefix(p.Name, "tiff.") {
			list = append(list, p)
		}
	}
	return list
}

func provenanceTexts(stain *slide.Slide) (texts []imagefile.Pair) {
	for _, p := range statements(stain) {
		texts = append(texts, imagefile.Pair{Key: p.Name, Value: p.Value})
	}
	return texts
}

// provenanceAnswer says how a stain was made.
type provenanceAnswer struct {
	Job     string    `json:"job"`
	Name    string    `json:"name"`
	User    string    `json:"user"`
	Created time.Time `json:"created"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`

	Slide     string `json:"slide"`
	SlideName string `json:"slide_name"`
	Model     string `json:"model"`
	Marker    string `json:"marker"`
	Preset    string `json:"preset"`
	Seed      int64  `json:"seed"`

	Region      *box            `json:"region,omitempty"`
	Annotations json.RawMessage `json:"annotations,omitempty"`
	Placement   box             `json:"placement"`
	Plan        jobPlan         `json:"plan"`

	// Statements are those in the file, by their keys: program, model, settings and sources among them.
	Statements map[string]any `json:"statements"`
}

func (s *Server) provenance(w http.ResponseWriter, r *http.Request) error {
	job, c, err := s.result(r)
	if err != nil {
		return err
	}
	stain, err := openStain(s.jobs.queue.Folder(job.ID))
	if err != nil {
		return err
	}
	said := map[string]any{}
	for _, p := range statements(stain) {
		said[p.Name] = p.Value
		if value := json.RawMessage(p.Value); strings.HasPrefix(p.Value, "{") && json.Valid(value) {
			said[p.Name] = value
		}
	}
	if err := stain.Close(); err != nil {
		return err
	}
	text, err := json.MarshalIndent(provenanceAnswer{
		Job: job.ID, Name: cmp.Or(c.Request.Name, c.SlideName), User: job.User, Created: job.Created, Started: job.Started,
		Ended: job.Ended, Slide: c.Request.Slide, SlideName: c.SlideName, Model: c.Request.Model, Marker: c.Marker,
		Preset: c.Request.Preset, Seed: c.Request.Seed, Region: c.Request.Region, Annotations: c.Request.Annotations,
		Placement: c.Size, Plan: c.Plan, Statements: said,
	}, "", "  ")
	if err != nil {
		return err
	}
	s.headers(w, job, c, "provenance", "application/json", "-provenance.json")
	http.ServeContent(w, r, "", job.Ended, bytes.NewReader(append(text, '\n')))
	return nil
}

// thumbnail sends the small image of a job: what there is of it while the job runs.
func (s *Server) thumbnail(w http.ResponseWriter, r *http.Request) error {
	job, err := s.ownJob(r)
	if err != nil {
		return err
	}
	if job.State == queue.Done {
		c, err := recordOf(job)
		if err != nil {
			return err
		}
		return s.sendFile(w, r, job, c, thumbnailFile, "image/png", "-thumbnail.png")
	}
	s.jobs.lock.Lock()
	view := s.jobs.previews[job.ID]
	s.jobs.lock.Unlock()
	var data []byte
	if view != nil {
		if data, err = view.encode(); err != nil {
			return err
		}
	}
	if data == nil {
		return problem(http.StatusNotFound, "there is nothing to be seen of this job")
	}
	h := w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Cache-Control", "no-store")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	return nil
}
