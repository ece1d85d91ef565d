package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/server/queue"
	"github.com/histdist/histdist/internal/walk"
)

func (s *Server) jobRoutes() []route {
	const one = "/api/v1/jobs/{job}"
	return []route{
		{pattern: "POST /api/v1/jobs", handle: s.addJob, body: maxJobBody},
		{pattern: "GET /api/v1/jobs", handle: s.listJobs},
		{pattern: "GET " + one, handle: s.oneJob},
		{pattern: "DELETE " + one, handle: s.deleteJob},
		{pattern: "GET " + one + "/events", handle: s.jobEvents},
		{pattern: "GET " + one + "/" + stainFile, handle: s.stain},
		{pattern: "GET " + one + "/" + pngFile, handle: s.stainPNG},
		{pattern: "GET " + one + "/" + areaFile, handle: s.stainArea},
		{pattern: "GET " + one + "/" + thumbnailFile, handle: s.thumbnail},
		{pattern: "GET " + one + "/provenance.json", handle: s.provenance},
		{pattern: "GET " + one + "/measurements", handle: s.measurements},
	}
}

// maxJobBody limits the areas of a request.
const maxJobBody = 16 << 20

// box is a rectangle in pixels of a slide's full resolution.
type box struct {
	X      int `json:"x"`
	Y      int `json:"y"`
	Width  int `json:"width"`
	Height int `json:"height"`
}

func boxOf(r image.Rectangle) box { return box{r.Min.X, r.Min.Y, r.Dx(), r.Dy()} }

func (b box) rect() image.Rectangle { return image.Rect(b.X, b.Y, b.X+b.Width, b.Y+b.Height) }

// jobRequest is the body of POST /api/v1/jobs.
type jobRequest struct {
	Name        string          `json:"name,omitempty"` // shown in lists
	Slide       string          `json:"slide"`
	Model       string          `json:"model"`
	Preset      string          `json:"preset,omitempty"`
	Seed        int64           `json:"seed"`
	Region      *box            `json:"region,omitempty"`
	Annotations json.RawMessage `json:"annotations,omitempty"` // GeoJSON
	Tissue      string          `json:"tissue,omitempty"`
	Outside     mosaic.Outside  `json:"outside,omitempty"`
}

// readJob reads a request for a job and fills in what it leaves out.
func (s *Server) readJob(r *http.Request) (req jobRequest, err error) {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err = d.Decode(&req)
	if err == nil && d.More() {
		err = errors.New("there is more after the object")
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return req, err
	case err != nil:
		return req, problem(http.StatusBadRequest, "the body is not a job: %s", notJSON(err))
	}
	wrong := func(format string, args ...any) error {
		return problem(http.StatusUnprocessableEntity, format, args...)
	}
	req.Tissue = cmp.Or(req.Tissue, tissue.Auto)
	req.Outside = cmp.Or(req.Outside, mosaic.OutsideWhite)
	switch {
	case !isName(req.Name):
		return req, wrong(wantName, longestName)
	case req.Tissue != tissue.Auto && req.Tissue != tissue.Everything:
		return req, wrong("tissue: want auto or all")
	}
	if b := req.Region; b != nil && (b.X < 0 || b.Y < 0 || b.Width < 1 || b.Height < 1) {
		return req, wrong("region: want x and y of 0 or more, width and height of 1 or more, in pixels of level 0")
	}
	if text := string(req.Annotations); text == "null" {
		req.Annotations = nil
	} else if text != "" {
		if _, err := tissue.ParseGeoJSON(req.Annotations); err != nil {
			return req, wrong("annotations: %v", err)
		}
	}
	return req, nil
}

// longestName is how many characters the name of a job or an upload has at most.
const longestName = 200

const wantName = "name: want a text of at most %d characters"

// isName reports whether a text can be the name of a job or an upload.
func isName(text string) bool {
	return utf8.ValidString(text) && utf8.RuneCountInString(text) <= longestName &&
		!strings.ContainsFunc(text, unicode.IsControl)
}

// notJSON is what is wrong with a body, in a client's words.
func notJSON(err error) string {
	var other *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return "it is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	case errors.As(err, &other):
		want := map[reflect.Kind]string{
			reflect.String: "a text", reflect.Int: "a whole number", reflect.Int64: "a whole number",
			reflect.Struct: "an object",
		}[other.Type.Kind()]
		return fmt.Sprintf("%s: want %s, not %s", cmp.Or(other.Field, "the body"), cmp.Or(want, "something else"),
			other.Value)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// readIdempotencyKey reads the header Idempotency-Key.
func readIdempotencyKey(r *http.Request) (string, error) {
	key := r.Header.Get("Idempotency-Key")
	unprintable := func(c rune) bool { return c < ' ' || c > '~' }
	if len(key) > 255 || strings.ContainsFunc(key, unprintable) {
		return "", problem(http.StatusBadRequest, "Idempotency-Key: want at most 255 printable characters of ASCII")
	}
	return key, nil
}

func (s *Server) addJob(w http.ResponseWriter, r *http.Request) error {
	key, err := readIdempotencyKey(r)
	if err != nil {
		return err
	}
	req, err := s.readJob(r)
	if err != nil {
		return err
	}
	user := userOf(r)
	m, err := s.models.Find(req.Model)
	if err != nil {
		return problem(http.StatusUnprocessableEntity, "model: %v", err)
	}
	preset, err := m.Preset(req.Preset)
	if err != nil {
		return problem(http.StatusUnprocessableEntity, "preset: %v", err)
	}
	req.Preset = preset.Name
	if key != "" {
		switch again, err := s.jobs.queue.Find(r.Context(), user, key); {
		case err == nil:
			return s.repeated(w, again, req)
		case !errors.Is(err, queue.ErrNotFound):
			return s.queueProblem(err)
		}
	}
	one, err := s.slide(r.Context(), user, req.Slide)
	if p := (*Problem)(nil); errors.As(err, &p) {
		return problem(http.StatusUnprocessableEntity, "slide: %s", p.Detail)
	} else if err != nil {
		return err
	}
	record := jobRecord{Request: req, SlideName: one.Name, Marker: m.Marker}
	disk, err := s.plan(r.Context(), one, m.ID, &record)
	if err != nil {
		return err
	}
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	uploads, err := walk.Size(s.uploads.folder)
	if err != nil {
		return err
	}
	job, created, err := s.jobs.queue.Add(r.Context(), queue.New{
		User: user, Key: key, Request: text, Disk: disk, Others: uploads,
	})
	if err != nil {
		return s.queueProblem(err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return s.replyJob(w, status, job)
}

// repeated answers a request that was made before under the same key.
func (s *Server) repeated(w http.ResponseWriter, job queue.Job, req jobRequest) error {
	c, err := recordOf(job)
	if err != nil {
		return err
	}
	was, err := json.Marshal(c.Request)
	if err != nil {
		return err
	}
	is, err := json.Marshal(req)
	if err != nil {
		return err
	}
	if string(was) != string(is) {
		return s.queueProblem(queue.ErrKey)
	}
	return s.replyJob(w, http.StatusOK, job)
}

// queueProblem is what a client is told of an error of the queue.
func (s *Server) queueProblem(err error) error {
	switch {
	case errors.Is(err, queue.ErrNotFound):
		return errNoJob
	case errors.Is(err, queue.ErrFull):
		return busy(time.Minute, "%v", err)
	case errors.Is(err, queue.ErrDisk):
		return busy(time.Hour, "%v", err)
	case errors.Is(err, queue.ErrTooLarge):
		return problem(http.StatusUnprocessableEntity, "the job is %v: choose a smaller region", err)
	case errors.Is(err, queue.ErrKey):
		return problem(http.StatusUnprocessableEntity, "Idempotency-Key: %v", err)
	case errors.Is(err, queue.ErrStorage):
		s.log.Error("jobs", "error", err)
		return busy(time.Minute, "jobs can't be stored at the moment")
	}
	return err
}

var errNoJob = problem(http.StatusNotFound, "there is no such job")

// ownJob is the job of a request's path, if it is the user's.
func (s *Server) ownJob(r *http.Request) (queue.Job, error) {
	job, err := s.jobs.queue.Get(r.Context(), r.PathValue("job"))
	if err != nil {
		return job, s.queueProblem(err)
	}
	if job.User != userOf(r) {
		return job, errNoJob
	}
	return job, nil
}

func (s *Server) oneJob(w http.ResponseWriter, r *http.Request) error {
	job, err := s.ownJob(r)
	if err != nil {
		return err
	}
	a, err := s.answer(job)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, a)
}

func (s *Server) listJobs(w http.ResponseWriter, r *http.Request) error {
	state := queue.State(r.URL.Query().Get("state"))
	if state != "" && !state.Known() {
		return problem(http.StatusBadRequest, "state: want queued, running, done, failed or cancelled")
	}
	list, err := s.jobs.queue.List(r.Context(), userOf(r), state)
	if err != nil {
		return s.queueProblem(err)
	}
	answers := []jobAnswer{}
	for _, job := range list {
		a, err := s.answer(job)
		if err != nil {
			return err
		}
		answers = append(answers, a)
	}
	return reply(w, http.StatusOK, answers)
}

// deleteJob cancels a job that has not ended, and deletes one that has.
func (s *Server) deleteJob(w http.ResponseWriter, r *http.Request) error {
	job, err := s.ownJob(r)
	if err != nil {
		return err
	}
	if job.State.Ended() {
		err = s.jobs.queue.Delete(r.Context(), job.ID)
	} else {
		err = s.jobs.queue.Cancel(r.Context(), job.ID)
	}
	if err != nil {
		return s.queueProblem(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
