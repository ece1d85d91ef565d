package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/openslide"
	"github.com/histdist/histdist/internal/server/catalogue"
	"github.com/histdist/histdist/internal/server/queue"
	"github.com/histdist/histdist/internal/walk"
)

// An upload is a folder of the state, named by its identifier, with these files.
const (
	uploadFile  = "slide.ome.tiff" // what the name says is not what is inside: that is told by the content
	uploadNotes = "upload.json"
)

// Limits of images that are no slides, which are made into slides without loss.
const (
	maxImageBytes = 1 << 30 // of the file: JPEG's are kept in memory while it is decoded
	maxImage      = 1 << 30 // pixels of one that is decoded row by row: up to 4 GB on the disk, and some minutes
	maxWholeImage = 1 << 26 // pixels of one that is decoded as a whole: 200 MB as RGB
)

// uploadNote is what is kept of an upload besides its pixels.
type uploadNote struct {
	Name    string    `json:"name"`
	User    string    `json:"user"`
	MPP     float64   `json:"mpp,omitempty"` // as the client said
	Created time.Time `json:"created"`
}

// uploads are the slides that users have sent.
type uploads struct {
	folder string
	busy   turns // one is looked at and decoded at a time
	whole  int   // pixels of an image that is decoded as a whole: maxWholeImage

	lock sync.Mutex
	byID map[string]*uploaded
}

type uploaded struct {
	uploadNote
	slide *catalogue.Slide
}

// openUploads finds those of earlier runs, and starts to remove what has expired.
func (s *Server) openUploads(ctx context.Context) error {
	u := &s.uploads
	u.folder, u.busy, u.byID = filepath.Join(s.state, "uploads"), make(turns, 1), map[string]*uploaded{}
	u.whole = maxWholeImage
	if err := os.MkdirAll(u.folder, 0o700); err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	entries, err := os.ReadDir(u.folder)
	if err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	for _, e := range entries {
		if err := s.knowUpload(e.Name()); err != nil { // one that was not finished
			if err := os.RemoveAll(filepath.Join(u.folder, e.Name())); err != nil {
				return fmt.Errorf("--state: %w", err)
			}
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	s.stopUploads = cancel
	s.tasks.Go(func() {
		for {
			s.expireUploads(time.Now())
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Hour):
			}
		}
	})
	return nil
}

func (s *Server) closeUploads() {
	if s.stopUploads != nil {
		s.stopUploads()
	}
	s.tasks.Wait()
}

// knowUpload takes up an upload that is complete.
func (s *Server) knowUpload(id string) error {
	folder := filepath.Join(s.uploads.folder, id)
	text, err := os.ReadFile(filepath.Join(folder, uploadNotes))
	if err != nil {
		return err
	}
	var n uploadNote
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	one := s.catalogue.File(id, filepath.Join(folder, uploadFile), n.Name, uploadOptions(n.MPP))
	s.uploads.lock.Lock()
	defer s.uploads.lock.Unlock()
	s.uploads.byID[id] = &uploaded{n, one}
	return nil
}

// uploadOptions are how uploads are read: by this program alone. OpenSlide is written in C, which what strangers send
// could make do what they want.
func uploadOptions(mpp float64) slide.Options {
	return slide.Options{AnyMPP: true, MPP: mpp, Library: slide.NoLibrary}
}

// upload returns a user's upload, nil if there is none of the identifier.
func (s *Server) upload(user, id string) *catalogue.Slide {
	s.uploads.lock.Lock()
	defer s.uploads.lock.Unlock()
	if u := s.uploads.byID[id]; u != nil && u.User == user {
		return u.slide
	}
	return nil
}

// removeUpload forgets an upload and removes its files. A job that reads it keeps them open.
func (s *Server) removeUpload(id string) error {
	s.uploads.lock.Lock()
	delete(s.uploads.byID, id)
	s.uploads.lock.Unlock()
	s.catalogue.Drop(id)
	defer s.catalogue.Drop(id) // whoever found it before may have opened it
	return os.RemoveAll(filepath.Join(s.uploads.folder, id))
}

func (s *Server) expireUploads(now time.Time) {
	s.uploads.lock.Lock()
	var old []string
	for id, u := range s.uploads.byID {
		if now.Sub(u.Created) > time.Duration(s.settings.Keep) {
			old = append(old, id)
		}
	}
	s.uploads.lock.Unlock()
	for _, id := range old {
		if err := s.removeUpload(id); err != nil {
			s.log.Error("an expired upload can't be removed", "upload", id)
		}
	}
}

func (s *Server) uploadRoutes() []route {
	return []route{
		{pattern: "POST /api/v1/uploads", handle: s.receive, body: s.settings.MaxUploadBytes},
		{pattern: "DELETE /api/v1/uploads/{slide}", handle: func(w http.ResponseWriter, r *http.Request) error {
			id := r.PathValue("slide")
			if s.upload(userOf(r), id) == nil {
				return problem(http.StatusNotFound, "there is no such upload")
			}
			if err := s.removeUpload(id); err != nil {
				return err
			}
			w.WriteHeader(http.StatusNoContent)
			return nil
		}},
	}
}

// used is the disk space that results and uploads take, in bytes, with what jobs that wait will need.
func (s *Server) used(ctx context.Context) (bytes int64, err error) {
	jobs, err := s.jobs.queue.Stats(ctx)
	if err != nil {
		return 0, err
	}
	bytes, err = walk.Size(s.uploads.folder)
	return bytes + jobs.Disk, err
}

// receive takes an image or a slide.
func (s *Server) receive(w http.ResponseWriter, r *http.Request) (err error) {
	note, err := readUploadNote(r)
	if err != nil {
		return err
	}
	used, err := s.used(r.Context())
	if err != nil {
		return err
	}
	full := busy(time.Hour, "there is no room for this: results and uploads may take %d bytes together",
		s.settings.MaxDisk)
	if used+max(1, r.ContentLength) > s.settings.MaxDisk {
		return full
	}
	folder, err := os.MkdirTemp(s.uploads.folder, ".incoming-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(folder) // or else at the next start
		}
	}()
	path := filepath.Join(folder, uploadFile)
	room := s.settings.MaxDisk - used
	n, err := save(path, io.LimitReader(r.Body, room+1))
	switch {
	case err != nil:
		return receiving(err)
	case n > room:
		return full
	case n == 0:
		return problem(http.StatusBadRequest, "the body is empty: want the bytes of an image or a slide")
	}
	switch err := s.accept(r.Context(), path, note.MPP, room-n); {
	case errors.Is(err, errNoRoom):
		return full
	case err != nil:
		return err
	}
	note.User, note.Created = userOf(r), time.Now().UTC()
	text, err := json.Marshal(note)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(folder, uploadNotes), text); err != nil {
		return err
	}
	id := queue.NewID()
	if err := atomicfile.Rename(folder, filepath.Join(s.uploads.folder, id)); err != nil {
		return err
	}
	if err := s.knowUpload(id); err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/slides/"+id)
	return reply(w, http.StatusCreated, s.detailed(r.Context(), s.upload(note.User, id)))
}

// readUploadNote reads what a client says of an upload.
func readUploadNote(r *http.Request) (n uploadNote, err error) {
	query := r.URL.Query()
	n.Name = cmp.Or(query.Get("name"), "upload")
	if !isName(n.Name) {
		return n, problem(http.StatusBadRequest, wantName, longestName)
	}
	if text := query.Get("mpp"); text != "" {
		n.MPP, err = strconv.ParseFloat(text, 64)
		if err != nil || !(n.MPP >= 0.05 && n.MPP <= 10) {
			return n, problem(http.StatusBadRequest, "mpp: want micrometres per pixel, 0.05 to 10, such as 0.25")
		}
	}
	return n, nil
}

// receiving is what a client is told of an error while it sends.
func receiving(err error) error {
	var tooLarge *http.MaxBytesError
	var inFile *fs.PathError
	if errors.As(err, &tooLarge) || errors.As(err, &inFile) {
		return err
	}
	return problem(http.StatusBadRequest, "the body has not arrived as a whole")
}

// save writes a body to a new file.
func save(path string, from io.Reader) (n int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.Copy(f, from)
}

// errNoRoom says that an image doesn't fit on the disk as a slide.
var errNoRoom = errors.New("no room")

// accept checks what has arrived, by its headers, before anything is decoded. An image that is no slide is made one, in
// as many bytes as there is room for.
func (s *Server) accept(ctx context.Context, path string, mpp float64, room int64) error {
	done, err := s.uploads.busy.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	width, height, err := imagefile.Size(path)
	if err != nil {
		return notAnImage(path, err)
	}
	pixels := int64(width) * int64(height)
	if pixels > s.settings.MaxUploadPixels {
		return problem(http.StatusRequestEntityTooLarge, "the image has %d×%d pixels; at most %d may be uploaded",
			width, height, s.settings.MaxUploadPixels)
	}
	opened, slideErr := slide.Open(path, uploadOptions(mpp))
	if slideErr == nil {
		pixels := int64(opened.Width) * int64(opened.Height)
		if err := opened.Close(); err != nil {
			return err
		}
		if pixels > s.settings.MaxUploadPixels {
			return problem(http.StatusRequestEntityTooLarge, "the slide has %d pixels; at most %d may be uploaded",
				pixels, s.settings.MaxUploadPixels)
		}
		return nil
	}
	if errors.Is(slideErr, openslide.ErrMissing) && !errors.Is(slideErr, slide.ErrFormat) {
		return problem(http.StatusUnprocessableEntity, "the upload is a slide of a format that OpenSlide alone reads, "+
			"which uploads are not given to: ask for it to be put into a folder of slides")
	}
	return s.makeSlide(ctx, path, pixels, cmp.Or(mpp, mosaic.DefaultMPP), room)
}

// makeSlide makes a slide of an image without losing any of it.
func (s *Server) makeSlide(ctx context.Context, path string, pixels int64, mpp float64, room int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	tooLarge := func(format string, args ...any) error {
		return problem(http.StatusRequestEntityTooLarge, "the image has "+format+": save it as a slide, such as OME-TIFF",
			args...)
	}
	switch {
	case info.Size() > maxImageBytes:
		return tooLarge("%d bytes; at most %d are taken of one that is no slide", info.Size(), maxImageBytes)
	case pixels > maxImage:
		return tooLarge("%d pixels; at most %d are taken of one that is no slide", pixels, maxImage)
	case pixels > int64(s.uploads.whole) && !imagefile.HasRows(path):
		return tooLarge("%d pixels; at most %d are taken of one that has to be decoded as a whole, such as interlaced "+
			"PNG or progressive JPEG", pixels, s.uploads.whole)
	case 4*pixels > room: // three bytes for each, and a third of that for smaller levels
		return errNoRoom
	}
	read := imagefile.Options{MaxPixels: s.uploads.whole}
	_, err = mosaic.Unpack(ctx, path, path, read, tiff.SlideOptions{
		MPP: [2]float64{mpp, mpp}, Description: tiff.Description{Image: "upload", Channel: "RGB"},
	}, func(int, int) error { return nil })
	var inFile *fs.PathError // a fault of the disk's
	if err == nil || ctx.Err() != nil || errors.As(err, &inFile) {
		return err
	}
	return notAnImage(path, err)
}

func notAnImage(path string, err error) error {
	text := strings.ReplaceAll(strings.ReplaceAll(err.Error(), path+": ", ""), path, "the upload")
	return problem(http.StatusUnprocessableEntity, "the upload can't be read: %s", text)
}
