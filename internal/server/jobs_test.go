package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/server/models"
	"github.com/histdist/histdist/internal/server/queue"
	"github.com/histdist/histdist/internal/stain/tally"
)

// tinyModel makes a folder with a model of a few weights for a marker, whose preset fast takes three calls.
func tinyModel(t testing.TB, marker string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "tiny")
	if err := os.CopyFS(folder, os.DirFS(golden.Path(t, "tiny"))); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(folder, "phikon"), os.DirFS(golden.Path(t, "tiny-phikon"))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "histdist.json"), []byte(`{"marker":"`+marker+`","mpp":0.5,"presets":{"fast":
		{"steps-inversion":1,"steps-translation":2,"solver-inversion":"dpm","solver":"dpm","eta":"zero"}}}`))
	return folder
}

// withJobs opens a server with a model and a slide of 60×48 pixels.
func withJobs(t testing.TB, marker string, change func(*Options)) (*Server, slideAnswer) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), patient)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	writeSlide(t, filepath.Join(folder, patient+".ome.tiff"), 60, 48)
	model := tinyModel(t, marker)
	s, _ := start(t, folder, func(o *Options) {
		o.Models = []models.Source{{Folder: model}}
		if change != nil {
			change(o)
		}
	})
	s.jobs.pace = 0
	return s, theSlide(t, s)
}

// jobBody is a request for a job: keys and values as JSON, besides slide and model.
func jobBody(slide slideAnswer, more string) string {
	return fmt.Sprintf(`{"slide":%q,"model":"tiny","tissue":"all"%s}`, slide.ID, more)
}

func post(t testing.TB, s *Server, body string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	return ask(t, s, http.MethodPost, "/api/v1/jobs", strings.NewReader(body), headers...)
}

// finished waits for a job to end.
func finished(t testing.TB, s *Server, id string) jobAnswer {
	t.Helper()
	w := s.jobs.queue.Watch(id)
	defer w.Close()
	for {
		answer, text := get(t, s, jobURL(id))
		if j := decoded[jobAnswer](t, answer, text); j.State.Ended() {
			return j
		}
		<-w.Changed()
	}
}

// A job is added, translated, measured and deleted, and all of its results are of the region.
func TestJobAndResults(t *testing.T) {
	s, one := withJobs(t, "Ki67", nil)
	answer, text := post(t, s, jobBody(one, `,"name":"first","seed":3,"region":{"x":16,"y":8,"width":40,"height":32}`))
	added := decoded[jobAnswer](t, answer, text)
	if answer.StatusCode != http.StatusCreated || answer.Header.Get("Location") != jobURL(added.ID) {
		t.Errorf("%s, Location %s", answer.Status, answer.Header.Get("Location"))
	}
	if added.Preset != "fast" || added.Marker != "Ki67" || added.Plan.Calls == 0 || added.Plan.TissuePx == 0 ||
		added.Placement != (box{0, 0, 60, 48}) || added.ThumbnailPlacement != *added.Region || added.Name != "first" {
		t.Errorf("%s", text)
	}
	done := finished(t, s, added.ID)
	if done.State != queue.Done || done.Progress.Calls != done.Plan.Calls || done.Progress.Of != done.Plan.Calls ||
		done.Started == nil || done.Ended == nil || done.Expires == nil {
		t.Fatalf("%+v", done)
	}
	file := func(name string) *imagefile.Image {
		t.Helper()
		path := filepath.Join(t.TempDir(), filepath.Base(name))
		answer, text := get(t, s, name)
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", name, answer.Status, text)
		}
		write(t, path, text)
		opened, err := slide.Open(path, slide.Options{Library: slide.NoLibrary})
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		if opened.MPP != [2]float64{0.5, 0.5} {
			t.Errorf("pixels of %v µm", opened.MPP)
		}
		m, err := opened.Whole().Read(t.Context(), opened.Bounds())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	stain := file(done.Results.OMETIFF)
	if stain.Width != 60 || stain.Height != 48 || stain.Pix[0] != 255 {
		t.Errorf("a stain of %d×%d pixels that begins with %d", stain.Width, stain.Height, stain.Pix[0])
	}
	answer, text = get(t, s, done.Results.PNG)
	drawn, err := png.Decode(bytes.NewReader(text))
	if err != nil || drawn.Bounds() != image.Rect(0, 0, 40, 32) {
		t.Fatalf("%v, %v", drawn.Bounds(), err)
	}
	if name := answer.Header.Get("Content-Disposition"); name != `attachment; filename="Jane Doe-ki67.png"` {
		t.Errorf("it is to be saved as %s", name)
	}
	cropped := imagefile.New(40, 32)
	for y := range 32 {
		for x := range 40 {
			r, g, b, _ := drawn.At(x, y).RGBA()
			at := 3 * ((8+y)*60 + 16 + x)
			if got, want := [3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}, [3]uint8(stain.Pix[at:]); got != want {
				t.Fatalf("pixel %d, %d is %v, in the stain %v", x, y, got, want)
			}
			copy(cropped.Pix[3*(y*40+x):], stain.Pix[at:at+3])
		}
	}
	// Measurements are those of an image of the region.
	answer, text = get(t, s, done.Results.Measurements)
	m := decoded[measured](t, answer, text)
	read := func(context.Context, image.Rectangle) (*imagefile.Image, error) { return cropped, nil }
	want, err := tally.Part(t.Context(), image.Rect(0, 0, 40, 32), read, nil, tally.Options{MPP: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if m.DABPositiveShare != want.PositiveShare() || m.Nuclei != want.Total() || m.AreaMM2 != want.Area ||
		m.NucleiSignal != "red" {
		t.Errorf("%s, want %+v", text, want)
	}
	answer, text = get(t, s, done.Results.Thumbnail)
	if small, err := png.Decode(bytes.NewReader(text)); err != nil || small.Bounds() != image.Rect(0, 0, 40, 32) {
		t.Errorf("thumbnail: %s, %v", answer.Status, err)
	}
	answer, text = get(t, s, done.Results.GeoJSON)
	if answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"Translated"`)) {
		t.Errorf("%s: %s", answer.Status, text)
	}
	answer, text = get(t, s, done.Results.Provenance)
	p := decoded[provenanceAnswer](t, answer, text)
	settings, _ := p.Statements["histdist.settings"].(map[string]any)
	if p.Seed != 3 || p.Region == nil || p.Statements["Software"] != "histdist 1.2" || settings["seed"] != 3.0 {
		t.Errorf("%s", text)
	}
	// Parts of files, and what hasn't changed.
	answer, text = get(t, s, done.Results.OMETIFF, "Range: bytes=2-5")
	if answer.StatusCode != http.StatusPartialContent || len(text) != 4 {
		t.Errorf("a range: %s, %d bytes", answer.Status, len(text))
	}
	answer, _ = get(t, s, done.Results.OMETIFF, "If-None-Match: "+answer.Header.Get("ETag"))
	if answer.StatusCode != http.StatusNotModified {
		t.Errorf("what the client has: %s", answer.Status)
	}
	// The stain is an image.
	answer, _ = get(t, s, "/api/v1/images/"+done.Results.Image+".dzi")
	if answer.StatusCode != http.StatusOK {
		t.Errorf("its tiles: %s", answer.Status)
	}
	for range 2 {
		answer, _ = ask(t, s, http.MethodDelete, jobURL(added.ID), nil)
		if answer.StatusCode != http.StatusNoContent {
			break
		}
	}
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("deleted twice: %s", answer.Status)
	}
	for _, url := range []string{done.Results.OMETIFF, done.Results.PNG, "/api/v1/images/" + added.ID + ".dzi"} {
		if answer, _ := get(t, s, url); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s of a deleted job: %s", url, answer.Status)
		}
	}
}

// What can't be is said in a client's words, with a status of its own, and without names and paths.
func TestJobsThatCannotBe(t *testing.T) {
	s, one := withJobs(t, "ER", func(o *Options) { o.MaxJobCalls, o.MaxQueue = 20, 1 })
	square := `{"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"Polygon",
		"coordinates":[[[%[1]d,0],[%[2]d,0],[%[2]d,50],[%[1]d,50],[%[1]d,0]]]},"properties":{}}]}`
	for name, test := range map[string]struct {
		body   string
		status int
		text   string
	}{
		"no JSON":              {`{`, 400, "not a job"},
		"a list":               {`[]`, 400, "not a job"},
		"more":                 {jobBody(one, "") + "{}", 400, "more after the object"},
		"another key":          {jobBody(one, `,"colour":1`), 400, "colour"},
		"another type":         {jobBody(one, `,"seed":"x"`), 400, "seed"},
		"half a pixel":         {jobBody(one, `,"region":{"x":0.5,"y":0,"width":9,"height":9}`), 400, "region"},
		"no model":             {`{"slide":"` + one.ID + `","model":"x"}`, 422, "model"},
		"no slide":             {`{"slide":"x","model":"tiny"}`, 422, "slide"},
		"no preset":            {jobBody(one, `,"preset":"x"`), 422, "preset"},
		"outside":              {jobBody(one, `,"outside":"black"`), 400, "outside"},
		"empty region":         {jobBody(one, `,"region":{"x":0,"y":0,"width":0,"height":9}`), 422, "region"},
		"region outside":       {jobBody(one, `,"region":{"x":50,"y":0,"width":50,"height":9}`), 422, "is not in the slide"},
		"another tissue":       {strings.Replace(jobBody(one, ""), `"all"`, `"/etc/passwd"`, 1), 422, "tissue: want auto or all"},
		"too narrow":           {jobBody(one, `,"annotations":`+fmt.Sprintf(square, 1, 2)), 422, "smaller than a pixel"},
		"a point":              {jobBody(one, `,"annotations":{"type":"Point","coordinates":[1,2]}`), 422, "annotations"},
		"annotations outside":  {jobBody(one, `,"annotations":`+fmt.Sprintf(square, 500, 600)), 422, "outside the slide"},
		"too many calls":       {jobBody(one, `,"preset":"paper"`), 422, "calls of the U-Net"},
		"a name of two lines":  {jobBody(one, `,"name":"a\nb"`), 422, "name"},
		"annotations of types": {jobBody(one, `,"annotations":7`), 422, "annotations"},
	} {
		answer, text := post(t, s, test.body)
		var p Problem
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != test.status || !strings.Contains(p.Detail, test.text) {
			t.Errorf("%s: %s: %s, want %d, %q", name, answer.Status, p.Detail, test.status, test.text)
		}
		for _, secret := range []string{patient, s.state, "--", os.TempDir()} {
			if strings.Contains(p.Detail, secret) {
				t.Errorf("%s: %s says %q", name, p.Detail, secret)
			}
		}
	}
	left, err := filepath.Glob(filepath.Join(s.state, temporary))
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
	for path, status := range map[string]int{
		jobURL(queue.NewID()): 404, jobURL(queue.NewID()) + "/events": 404, jobURL(queue.NewID()) + "/thumbnail.png": 404,
		"/api/v1/jobs?state=x": 400, "/api/v1/jobs?state=done": 200, "/api/v1/jobs": 200,
	} {
		if answer, text := get(t, s, path); answer.StatusCode != status {
			t.Errorf("%s: %s, want %d: %s", path, answer.Status, status, text)
		}
	}
}

// The same request under the same key is the same job; another one is refused. A full queue says when to come again.
func TestKeysAndFullQueue(t *testing.T) {
	s, one := withJobs(t, "ER", func(o *Options) { o.MaxQueue, o.Devices = 1, nil }) // nobody works
	key := "Idempotency-Key: k1"
	answer, text := post(t, s, jobBody(one, ""), key)
	first := decoded[jobAnswer](t, answer, text)
	answer, text = post(t, s, jobBody(one, ""), key)
	if again := decoded[jobAnswer](t, answer, text); again.ID != first.ID || answer.StatusCode != http.StatusOK {
		t.Errorf("%s, %s; want %s", answer.Status, again.ID, first.ID)
	}
	if answer, text = post(t, s, jobBody(one, `,"seed":1`), key); answer.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("another request: %s %s", answer.Status, text)
	}
	if answer, text = post(t, s, jobBody(one, ""), "Idempotency-Key: ü"); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("another key: %s %s", answer.Status, text)
	}
	answer, text = post(t, s, jobBody(one, `,"seed":1`))
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") != "60" {
		t.Errorf("%s, %v: %s", answer.Status, answer.Header, text)
	}
	if queued, running := s.jobCounts(); queued != 1 || running != 0 {
		t.Errorf("%d wait, %d run", queued, running)
	}
	if answer, _ := ask(t, s, http.MethodDelete, jobURL(first.ID), nil); answer.StatusCode != http.StatusNoContent {
		t.Errorf("cancelling: %s", answer.Status)
	}
	if j := finished(t, s, first.ID); j.State != queue.Cancelled || j.Results != nil {
		t.Errorf("%+v", j)
	}
	if answer, _ := get(t, s, jobURL(first.ID)+"/"+stainFile); answer.StatusCode != http.StatusNotFound {
		t.Errorf("a result of it: %s", answer.Status)
	}
}

// Users see their own jobs and results alone.
func TestJobsOfOthers(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	write(t, tokens, []byte("ann 0123456789abcdef\nbob fedcba9876543210\n"))
	const ann, bob = "Authorization: Bearer 0123456789abcdef", "Authorization: Bearer fedcba9876543210"
	folder := filepath.Join(t.TempDir(), patient)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	writeSlide(t, filepath.Join(folder, "one.ome.tiff"), 40, 40)
	model := tinyModel(t, "ER")
	s, _ := start(t, folder, func(o *Options) {
		o.Models, o.TokenFile = []models.Source{{Folder: model}}, tokens
	})
	one := theSlide(t, s, ann)
	answer, text := post(t, s, jobBody(one, ""), ann)
	job := decoded[jobAnswer](t, answer, text)
	w := s.jobs.queue.Watch(job.ID)
	defer w.Close()
	for {
		answer, text := get(t, s, jobURL(job.ID), ann)
		if decoded[jobAnswer](t, answer, text).State.Ended() {
			break
		}
		<-w.Changed()
	}
	for _, path := range []string{
		jobURL(job.ID), jobURL(job.ID) + "/events", jobURL(job.ID) + "/" + stainFile, jobURL(job.ID) + "/measurements",
		"/api/v1/images/" + job.ID + ".dzi",
	} {
		for header, want := range map[string]int{ann: 200, bob: 404} {
			if answer, text := get(t, s, path, header); answer.StatusCode != want {
				t.Errorf("%s: %s, want %d: %s", path, answer.Status, want, text)
			}
		}
		if answer, _ := get(t, s, path); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a token: %s", path, answer.Status)
		}
	}
	if answer, _ := ask(t, s, http.MethodDelete, jobURL(job.ID), nil, bob); answer.StatusCode != http.StatusNotFound {
		t.Errorf("deleting: %s", answer.Status)
	}
	answer, text = get(t, s, "/api/v1/jobs", bob)
	if list := decoded[[]jobAnswer](t, answer, text); len(list) != 0 {
		t.Errorf("%s", text)
	}
}

// A stream of events ends with the job's last state; it has signs of life, and ends when the server does.
func TestEvents(t *testing.T) {
	s, one := withJobs(t, "ER", func(o *Options) { o.Devices = nil })
	s.jobs.beat = time.Millisecond
	answer, text := post(t, s, jobBody(one, ""))
	job := decoded[jobAnswer](t, answer, text)
	h := httptest.NewServer(s)
	defer h.Close()
	open := func() (*http.Response, *bufio.Scanner) {
		t.Helper()
		answer, err := h.Client().Get(h.URL + jobURL(job.ID) + "/events")
		if err != nil {
			t.Fatal(err)
		}
		if media := answer.Header.Get("Content-Type"); media != "text/event-stream" {
			t.Errorf("Content-Type %s", media)
		}
		return answer, bufio.NewScanner(answer.Body)
	}
	stream, lines := open()
	defer stream.Body.Close()
	slow, unread := open() // its client reads nothing until the end
	defer slow.Body.Close()
	var events []jobAnswer
	comments := 0
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, ":"):
			if comments++; comments == 3 {
				if err := s.jobs.queue.Cancel(t.Context(), job.ID); err != nil {
					t.Fatal(err)
				}
			}
		case strings.HasPrefix(line, "data: "):
			var a jobAnswer
			if err := json.Unmarshal([]byte(line[6:]), &a); err != nil {
				t.Fatal(err)
			}
			events = append(events, a)
		case strings.HasPrefix(line, "id: "):
			if want := fmt.Sprint("id: ", len(events)+1); line != want {
				t.Errorf("%s, want %s", line, want)
			}
		}
	}
	if len(events) != 2 || events[0].State != queue.Queued || events[0].Position != 1 ||
		events[1].State != queue.Cancelled {
		t.Errorf("%+v", events)
	}
	last := ""
	for unread.Scan() {
		if text, ok := strings.CutPrefix(unread.Text(), "data: "); ok {
			last = text
		}
	}
	if !strings.Contains(last, `"state":"cancelled"`) {
		t.Errorf("the last that the slow client reads is %s", last)
	}
	answer, text = post(t, s, jobBody(one, ""))
	job = decoded[jobAnswer](t, answer, text)
	stream, lines = open()
	defer stream.Body.Close()
	for ended := false; lines.Scan(); {
		if strings.HasPrefix(lines.Text(), ":") && !ended {
			close(s.ending)
			ended = true
		}
	}
}

// What an earlier server has left of a job is recognised: a whole stain isn't translated again, and what is made of it
// is.
func TestFinishedButNotRecorded(t *testing.T) {
	s, one := withJobs(t, "ER", nil)
	answer, text := post(t, s, jobBody(one, ""))
	job := decoded[jobAnswer](t, answer, text)
	if j := finished(t, s, job.ID); j.State != queue.Done {
		t.Fatalf("%+v", j)
	}
	folder := s.jobs.queue.Folder(job.ID)
	before := files(t, folder)
	for _, name := range []string{thumbnailFile, areaFile} {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	stain, err := os.Stat(filepath.Join(folder, stainFile))
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.jobs.queue.Get(t.Context(), job.ID)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.newWorker(s.devices[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := w.run(t.Context(), again, func(p queue.Progress) { t.Errorf("it works: %+v", p) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, files(t, folder)); diff != "" {
		t.Error(diff)
	}
	if now, err := os.Stat(filepath.Join(folder, stainFile)); err != nil || !os.SameFile(stain, now) {
		t.Errorf("the stain was made again: %v", err)
	}
}

// Tissue is found once, when a job is added; in a slide that has changed since it is looked for again.
func TestTissueIsKept(t *testing.T) {
	s, one := withJobs(t, "ER", func(o *Options) { o.Devices = nil })
	answer, text := post(t, s, jobBody(one, ""))
	job, err := s.jobs.queue.Get(t.Context(), decoded[jobAnswer](t, answer, text).ID)
	if err != nil {
		t.Fatal(err)
	}
	c, err := recordOf(job)
	if err != nil {
		t.Fatal(err)
	}
	slide, err := s.slide(t.Context(), job.User, one.ID)
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.found(slide)
	if err != nil || found == nil || found.Share() != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	// A worker goes by what is kept: the left half of the slide alone.
	for i := range found.In {
		found.In[i] = i%found.Width < found.Width/2
	}
	if c.Tissue, err = found.MarshalBinary(); err != nil {
		t.Fatal(err)
	}
	w, err := s.newWorker(models.Device{Open: openDevice})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}()
	translated := func() string {
		t.Helper()
		if job.Request, err = json.Marshal(c); err != nil {
			t.Fatal(err)
		}
		if err := w.run(t.Context(), job, func(queue.Progress) {}); err != nil {
			t.Fatal(err)
		}
		folder := s.jobs.queue.Folder(job.ID)
		area := files(t, folder)[areaFile]
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		return area
	}
	if area := translated(); !strings.Contains(area, "[32,0]") || strings.Contains(area, "[60,0]") {
		t.Errorf("of the left half %s is translated", area)
	}
	c.Content = "another"
	if area := translated(); !strings.Contains(area, "[60,0]") {
		t.Errorf("of another slide %s is translated", area)
	}
}

// files are the contents of a folder's files by their names.
func files(t testing.TB, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}

// What is wrong with a body is said in a client's words; what the client has sent is not in the log.
func TestWhatIsNotAJob(t *testing.T) {
	var log *bytes.Buffer
	s, _ := withJobs(t, "ER", func(o *Options) {
		log = &bytes.Buffer{}
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	})
	for body, want := range map[string]string{
		``:                                   "it is empty",
		`{"slide":`:                          "it ends too early",
		`[]`:                                 "the body: want an object, not array",
		`{"slide":5}`:                        "slide: want a text, not number",
		`{"seed":-7e300}`:                    "seed: want a whole number, not number -7e300",
		`{"region":{"x":"` + patient + `"}}`: "region.x: want a whole number, not string",
		`{"` + patient + `":1}`:              `unknown field "` + patient + `"`,
	} {
		answer, text := post(t, s, body)
		var p Problem
		if err := json.Unmarshal(text, &p); err != nil || answer.StatusCode != http.StatusBadRequest ||
			p.Detail != "the body is not a job: "+want {
			t.Errorf("%s: %s: %s", body, answer.Status, text)
		}
	}
	if text := log.String(); !strings.Contains(text, "status=400") || strings.Contains(text, patient) {
		t.Errorf("the log is %s", text)
	}
}
