package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/histdist/histdist/data/slide/tissue"
	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/background"
	"github.com/histdist/histdist/internal/server/catalogue"
	"github.com/histdist/histdist/internal/server/queue"
	"github.com/histdist/histdist/internal/walk"
)

// jobs is what a server knows of its translations.
type jobs struct {
	queue    *queue.Queue
	workers  sync.WaitGroup
	planning turns // of jobs that are planned: that reads a slide
	drawing  turns // of PNG files

	beat, pace time.Duration // of event streams: between signs of life, and at least between two events

	lock     sync.Mutex
	stains   map[string]stainImage // those that were looked at, by the job's identifier
	previews map[string]*preview   // of running jobs

	done, failed, cancelled atomic.Int64 // since the start
}

// stainImage is the stain of a finished job as an image. Who asks for tiles need not ask the queue for each.
type stainImage struct {
	user  string
	image *catalogue.Slide
}

// temporary is the pattern of files that exist while a job is planned.
const temporary = ".annotations-*.geojson"

// openJobs opens the queue and starts a worker for each device.
func (s *Server) openJobs(ctx context.Context) error {
	j := &s.jobs
	j.planning, j.drawing = make(turns, 2), make(turns, 1)
	j.stains, j.previews = map[string]stainImage{}, map[string]*preview{}
	j.beat, j.pace = 15*time.Second, time.Second
	left, err := filepath.Glob(filepath.Join(s.state, temporary))
	if err != nil {
		return err
	}
	for _, path := range left { // the server was killed
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("--state: %w", err)
		}
	}
	q, err := queue.Open(ctx, queue.Options{
		Folder: s.state, Keep: time.Duration(s.settings.Keep),
		Limits: queue.Limits{
			Queued: s.settings.MaxQueue, Time: time.Duration(s.settings.MaxJobTime), Disk: s.settings.MaxDisk,
		},
		Changed: s.jobChanged, Deleted: s.jobDeleted,
		Trouble: func(err error) { s.log.Error("jobs", "error", err) },
	})
	if err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	j.queue = q
	s.countJobs()
	return s.startWorkers()
}

// countJobs adds what the metrics say of jobs.
func (s *Server) countJobs() {
	j, m := &s.jobs, s.metrics
	m.gauge("histdist_jobs_queued", "Jobs that wait.", func() float64 { n, _ := s.jobCounts(); return float64(n) })
	m.gauge("histdist_jobs_running", "Jobs that run.", func() float64 { _, n := s.jobCounts(); return float64(n) })
	m.gauge("histdist_jobs_bytes", "Disk space of results, and what waiting jobs will need.", func() float64 {
		stats, err := j.queue.Stats(context.Background())
		if err != nil {
			return 0
		}
		return float64(stats.Disk)
	})
	for name, n := range map[string]*atomic.Int64{"done": &j.done, "failed": &j.failed, "cancelled": &j.cancelled} {
		m.counter("histdist_jobs_"+name+"_total", "Jobs that ended as "+name+".", func() float64 { return float64(n.Load()) })
	}
}

// startWorkers opens the devices, each on the thread of its worker, and begins to work.
func (s *Server) startWorkers() error {
	opened := make(chan error, len(s.devices))
	thread := background.Run
	if s.options.Foreground {
		thread = func(f func()) { f() }
	}
	for _, d := range s.devices {
		s.jobs.workers.Go(func() {
			thread(func() {
				w, err := s.newWorker(d)
				opened <- err
				if err != nil {
					return
				}
				s.jobs.queue.Work(w.run)
				if err := w.close(); err != nil {
					s.log.Error("a device can't be closed", "device", d.Name, "error", err)
				}
			})
		})
	}
	var errs []error
	for range s.devices {
		errs = append(errs, <-opened)
	}
	return errors.Join(errs...)
}

// closeJobs ends the workers; what they were doing is continued at the next start.
func (s *Server) closeJobs() error {
	if s.jobs.queue == nil {
		return nil
	}
	err := s.jobs.queue.Close()
	s.jobs.workers.Wait()
	return err
}

// jobChanged notes what became of a job.
func (s *Server) jobChanged(job queue.Job) {
	j := &s.jobs
	switch job.State {
	case queue.Done:
		j.done.Add(1)
	case queue.Failed:
		j.failed.Add(1)
	case queue.Cancelled:
		j.cancelled.Add(1)
	}
	if job.State.Ended() {
		j.lock.Lock()
		delete(j.previews, job.ID)
		j.lock.Unlock()
	}
	s.log.Info("job", "job", job.ID, "state", string(job.State), "user", job.User, "spent", job.Spent)
}

// jobDeleted forgets and closes a result whose files are deleted.
func (s *Server) jobDeleted(id string) {
	s.jobs.lock.Lock()
	delete(s.jobs.stains, id)
	s.jobs.lock.Unlock()
	s.catalogue.Drop(id)
}

// jobCounts returns how many jobs wait and run.
func (s *Server) jobCounts() (queued, running int) {
	stats, err := s.jobs.queue.Stats(context.Background())
	if err != nil {
		s.log.Error("jobs", "error", err)
		return 0, 0
	}
	return stats.Jobs[queue.Queued], stats.Jobs[queue.Running]
}

// stainImage returns the stain of a job of the user's that is done; nil if there is none.
func (s *Server) stainImage(ctx context.Context, user, id string) (*catalogue.Slide, error) {
	j := &s.jobs
	j.lock.Lock()
	stain, known := j.stains[id]
	j.lock.Unlock()
	if !known {
		job, err := j.queue.Get(ctx, id)
		switch {
		case errors.Is(err, queue.ErrNotFound), err == nil && job.State != queue.Done:
			return nil, nil
		case err != nil:
			return nil, s.queueProblem(err)
		}
		path := filepath.Join(j.queue.Folder(id), stainFile)
		stain = stainImage{job.User, s.catalogue.File(id, path, stainFile, stainOptions)}
		j.lock.Lock()
		j.stains[id] = stain
		j.lock.Unlock()
	}
	if stain.user != user {
		return nil, nil
	}
	return stain.image, nil
}

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

// jobRecord is a job as the queue keeps it: the request, and what it meant when it was made.
type jobRecord struct {
	Request   jobRequest `json:"request"`
	SlideName string     `json:"slide_name"`
	Marker    string     `json:"marker"`
	Size      box        `json:"size"` // the whole slide
	Plan      jobPlan    `json:"plan"`

	Content string `json:"content"` // tag of the slide's
	Tissue  []byte `json:"tissue"`  // what of that is, a packed tissue.Mask: it is found once
}

// jobPlan is what a job takes.
type jobPlan struct {
	Windows  int   `json:"windows"`
	Calls    int64 `json:"calls"` // of the U-Net
	TissuePx int64 `json:"tissue_px"`
}

// recordOf is what a job is.
func recordOf(job queue.Job) (c jobRecord, err error) {
	if err = json.Unmarshal(job.Request, &c); err != nil {
		err = fmt.Errorf("job %s: %w", job.ID, err)
	}
	return c, err
}

// shown is the part of the slide that a job's small images and PNG files show.
func (c jobRecord) shown() image.Rectangle {
	if c.Request.Region != nil {
		return c.Request.Region.rect()
	}
	return c.Size.rect()
}

// jobAnswer is a job in an answer.
type jobAnswer struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Slide   string         `json:"slide"`
	Model   string         `json:"model"`
	Marker  string         `json:"marker"`
	Preset  string         `json:"preset"`
	Seed    int64          `json:"seed"`
	Region  *box           `json:"region,omitempty"`
	Areas   bool           `json:"annotations"` // it has some
	Tissue  string         `json:"tissue"`
	Outside mosaic.Outside `json:"outside"`

	State      queue.State    `json:"state"`
	Cancelling bool           `json:"cancelling,omitempty"`
	Created    time.Time      `json:"created"`
	Started    *time.Time     `json:"started,omitempty"`
	Ended      *time.Time     `json:"ended,omitempty"`
	Expires    *time.Time     `json:"expires,omitempty"`
	Position   int            `json:"position,omitempty"` // in the queue, from 1
	Progress   progressAnswer `json:"progress"`
	Error      string         `json:"error,omitempty"`
	Plan       jobPlan        `json:"plan"`

	Placement          box            `json:"placement"` // of the stain on the slide
	ThumbnailPlacement box            `json:"thumbnail_placement"`
	Results            *resultsAnswer `json:"results,omitempty"`
}

type progressAnswer struct {
	Calls       int64 `json:"calls"`
	Of          int64 `json:"of"`
	Regions     int   `json:"regions"`
	OfRegions   int   `json:"of_regions"`
	SecondsLeft *int  `json:"seconds_left,omitempty"` // not there while it is unknown
}

// resultsAnswer are URLs of what there is; Image is an identifier.
type resultsAnswer struct {
	Image        string `json:"image,omitempty"`
	OMETIFF      string `json:"ome_tiff,omitempty"`
	PNG          string `json:"png,omitempty"`
	GeoJSON      string `json:"geojson,omitempty"`
	Provenance   string `json:"provenance,omitempty"`
	Thumbnail    string `json:"thumbnail,omitempty"`
	Measurements string `json:"measurements,omitempty"`
}

func (s *Server) answer(job queue.Job) (jobAnswer, error) {
	c, err := recordOf(job)
	if err != nil {
		return jobAnswer{}, err
	}
	r, p := c.Request, job.Progress
	a := jobAnswer{
		ID: job.ID, Name: cmp.Or(r.Name, c.SlideName), Slide: r.Slide, Model: r.Model, Marker: c.Marker, Preset: r.Preset,
		Seed: r.Seed, Region: r.Region, Areas: len(r.Annotations) > 0, Tissue: r.Tissue, Outside: r.Outside,
		State: job.State, Cancelling: job.Stopping, Created: job.Created, Position: job.Position, Error: job.Error,
		Plan: c.Plan, Placement: c.Size, ThumbnailPlacement: boxOf(c.shown()),
		Progress: progressAnswer{Calls: p.Done, Of: cmp.Or(p.Of, c.Plan.Calls), Regions: p.Parts, OfRegions: p.OfParts},
	}
	for at, t := range map[**time.Time]time.Time{&a.Started: job.Started, &a.Ended: job.Ended, &a.Expires: job.Expires} {
		if !t.IsZero() {
			*at = &t
		}
	}
	if job.State == queue.Running && p.Left > 0 {
		seconds := int(p.Left.Round(time.Second) / time.Second)
		a.Progress.SecondsLeft = &seconds
	}
	base := jobURL(job.ID) + "/"
	switch job.State {
	case queue.Running:
		a.Results = &resultsAnswer{Thumbnail: base + thumbnailFile}
	case queue.Done:
		a.Results = &resultsAnswer{
			Image: job.ID, OMETIFF: base + stainFile, GeoJSON: base + areaFile, Provenance: base + "provenance.json",
			Thumbnail: base + thumbnailFile,
		}
		if pixelsOf(c.shown()) <= maxPNG {
			a.Results.PNG = base + pngFile
		}
		if _, err := os.Stat(filepath.Join(s.jobs.queue.Folder(job.ID), measurementsFile)); err == nil {
			a.Results.Measurements = base + "measurements"
		}
	}
	return a, nil
}

func jobURL(id string) string { return "/api/v1/jobs/" + id }

func pixelsOf(r image.Rectangle) int64 { return int64(r.Dx()) * int64(r.Dy()) }

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

func (s *Server) replyJob(w http.ResponseWriter, status int, job queue.Job) error {
	a, err := s.answer(job)
	if err != nil {
		return err
	}
	w.Header().Set("Location", jobURL(job.ID))
	return reply(w, status, a)
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

// plan fills in what a job takes, and returns the disk space that its files will need. What can't be translated is a
// problem of the request.
func (s *Server) plan(ctx context.Context, one *catalogue.Slide, model string, c *jobRecord) (disk int64, err error) {
	done, err := s.jobs.planning.take(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	p, err := s.models.Plan(model, c.Request.Preset)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var areas string
	if len(c.Request.Annotations) > 0 {
		f, err := os.CreateTemp(s.state, temporary)
		if err != nil {
			return 0, err
		}
		areas = f.Name()
		defer func() { err = errors.Join(err, os.Remove(areas)) }()
		_, err = f.Write(c.Request.Annotations)
		if err := errors.Join(err, f.Close()); err != nil {
			return 0, err
		}
	}
	if c.Content, err = one.Tag(); err != nil { // before it is read
		return 0, unreadable(one, err)
	}
	o, err := s.translation(p, one, *c, "", areas)
	if err != nil {
		return 0, unreadable(one, err)
	}
	var plan mosaic.Plan
	if o.Found, err = mosaic.TissueOf(ctx, p, o); err == nil {
		plan, err = mosaic.PlanFile(ctx, p, o)
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return 0, err
	case err != nil:
		return 0, problem(http.StatusUnprocessableEntity, "this can't be translated: %s", told(one, err, areas))
	}
	if most := s.settings.MaxJobCalls; plan.Calls > most {
		return 0, problem(http.StatusUnprocessableEntity, "the job takes %d calls of the U-Net; %d are allowed: "+
			"choose a smaller region or a faster preset", plan.Calls, most)
	}
	meta, err := one.Meta(ctx)
	if err != nil {
		return 0, unreadable(one, err)
	}
	if c.Tissue, err = o.Found.MarshalBinary(); err != nil {
		return 0, err
	}
	c.Size = box{0, 0, meta.Width, meta.Height}
	c.Plan = jobPlan{Windows: plan.Windows, Calls: plan.Calls, TissuePx: plan.Tissue}
	// The stain as JPEG, with its reduced levels, of at most a byte for each pixel; and small files.
	scale := float64(meta.Width) / float64(plan.Width) * float64(meta.Height) / float64(plan.Height)
	return plan.Disk + int64(float64(plan.Tissue)*scale*4/3) + 16<<20, nil
}

// told is an error in a client's words: without paths, and without options of the command line.
func told(one *catalogue.Slide, err error, areas string) string {
	text := one.Scrub(err.Error())
	if areas != "" {
		text = strings.ReplaceAll(text, areas, "annotations")
	}
	for _, words := range []struct{ from, to string }{
		{"; say what is right: --mpp", ""},
		{"; name areas in a GeoJSON file, or take all", "; draw areas, or take all"},
		{"; --tissue all translates everything", "; tissue all translates everything"},
	} {
		text = strings.ReplaceAll(text, words.from, words.to)
	}
	return text
}
