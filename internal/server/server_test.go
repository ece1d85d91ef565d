package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/tiff"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/internal/openslide"
	"github.com/histdist/histdist/internal/server/models"
)

// patient is in the names of all slides and of their folder: it must not be anywhere that it isn't asked for.
const patient = "Jane Doe"

// folderOfSlides makes a folder with a slide of 1500×600 pixels and a file that is none.
func folderOfSlides(t testing.TB) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), patient)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	writeSlide(t, filepath.Join(folder, patient+".ome.tiff"), 1500, 600)
	write(t, filepath.Join(folder, patient+" broken.svs"), []byte("II*\x00 this is no TIFF file"))
	write(t, filepath.Join(folder, patient+".txt"), []byte("notes"))
	return folder
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// colour is that of the pixels of a slide that writeSlide makes.
func colour(x, y int) [3]uint8 { return [3]uint8{uint8(x / 8), uint8(y / 4), uint8((x + y) / 16)} }

func writeSlide(t testing.TB, path string, width, height int) {
	t.Helper()
	w, err := tiff.CreateSlide(path, tiff.SlideOptions{Width: width, Height: height, MPP: [2]float64{0.5, 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Discard()
	columns, rows := w.Tiles()
	for row := range rows {
		for column := range columns {
			at := w.Tile(column, row)
			var pix []uint8
			for y := at.Min.Y; y < at.Max.Y; y++ {
				for x := at.Min.X; x < at.Max.X; x++ {
					c := colour(x, y)
					pix = append(pix, c[:]...)
				}
			}
			if err := w.WriteTile(column, row, pix); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func openDevice() (device.Device, error) { return catalog.Open("auto", 1) }

// start opens a server with the slides of a folder and a log that the test can read.
func start(t testing.TB, folder string, change func(*Options)) (*Server, *bytes.Buffer) {
	t.Helper()
	t.Setenv(openslide.Variable, openslide.Off)
	log := &bytes.Buffer{}
	o := Options{Settings: DefaultSettings(), Version: "1.2", Foreground: true}
	o.Devices = []models.Device{{Name: "auto", Open: openDevice}}
	o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.State = filepath.Join(t.TempDir(), "state")
	if folder != "" {
		o.Slides = []string{folder}
	}
	if change != nil {
		change(&o)
	}
	s, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, log
}

// ask sends a request and returns the answer with its body. Headers are "Name: value".
func ask(t testing.TB, s *Server, method, path string, body io.Reader, headers ...string) (*http.Response, []byte) {
	t.Helper()
	r := httptest.NewRequest(method, path, body)
	r.Host = "127.0.0.1:8080"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	answer := w.Result()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, text
}

func get(t testing.TB, s *Server, path string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	return ask(t, s, http.MethodGet, path, nil, headers...)
}

// decoded reads an answer of the status 200 or 201.
func decoded[T any](t testing.TB, answer *http.Response, text []byte) (v T) {
	t.Helper()
	if answer.StatusCode > 201 {
		t.Fatalf("%s: %s", answer.Status, text)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// theSlide returns the one that can be read.
func theSlide(t testing.TB, s *Server, headers ...string) slideAnswer {
	t.Helper()
	answer, text := get(t, s, "/api/v1/slides", headers...)
	for _, one := range decoded[[]slideAnswer](t, answer, text) {
		if one.Error == "" {
			return one
		}
	}
	t.Fatalf("no slide can be read: %s", text)
	return slideAnswer{}
}

func TestService(t *testing.T) {
	s, _ := start(t, "", nil)
	answer, text := get(t, s, "/api/v1/health")
	if h := decoded[health](t, answer, text); h.Status != "ok" || len(h.Devices) != 1 || h.Devices[0] != "auto" {
		t.Errorf("health: %s", text)
	}
	answer, text = get(t, s, "/api/v1/version")
	if v := decoded[versions](t, answer, text); v.Version != "1.2" || v.OpenSlide != "" {
		t.Errorf("version: %s", text)
	}
	answer, text = get(t, s, "/api/v1/openapi.json")
	if d := decoded[map[string]any](t, answer, text); d["openapi"] != "3.1.0" {
		t.Errorf("the document is %.200s", text)
	}
	answer, text = get(t, s, "/api/v1/models")
	if m := decoded[[]models.Model](t, answer, text); len(m) != 0 {
		t.Errorf("models: %s", text)
	}
	_, text = get(t, s, "/metrics")
	for _, want := range []string{
		`histdist_http_requests_total{method="GET",route="/api/v1/health",status="200"} 1`, `histdist_build_info{version="1.2"} 1`,
		"go_goroutines",
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// What has no route is a problem, too.
func TestProblems(t *testing.T) {
	s, _ := start(t, "", nil)
	for _, test := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/api/v1/nothing", 404, ""},
		{"GET", "/nothing", 404, ""},
		{"POST", "/api/v1/health", 405, "GET, HEAD"},
		{"PUT", "/api/v1/uploads", 405, "POST"},
		{"OPTIONS", "/api/v1/slides", 405, "GET, HEAD"},
		{"GET", "/api/v1/slides/AAAAAAAAAAAAAAAAAAAAAA", 404, ""},
		{"GET", "/api/v1/slides/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404, ""},
		{"GET", "/api/v1/images/x.dzi", 404, ""},
		{"GET", "/assets/nothing.js", 404, ""},
		{"GET", "/assets/%2e%2e/web.go", 404, ""},
		{"FOO", "/", 405, "GET, HEAD"},
	} {
		answer, text := ask(t, s, test.method, test.path, nil)
		var p Problem
		if err := json.Unmarshal(text, &p); err != nil {
			t.Errorf("%s %s: %v: %s", test.method, test.path, err, text)
		}
		if answer.StatusCode != test.status || p.Status != test.status || p.Title == "" || p.Detail == "" ||
			p.RequestID == "" || p.RequestID != answer.Header.Get("X-Request-Id") || answer.Header.Get("Allow") != test.allow ||
			answer.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %s, %v, %s", test.method, test.path, answer.Status, answer.Header, text)
		}
	}
}

// A fault of a handler is a problem without details, and in the log.
func TestFaults(t *testing.T) {
	s, log := start(t, "", nil)
	s.mux = http.NewServeMux()
	s.mux.Handle("GET /panic", s.serve(route{handle: func(http.ResponseWriter, *http.Request) error { panic("secret") }}))
	s.mux.Handle("GET /error", s.serve(route{handle: func(http.ResponseWriter, *http.Request) error {
		return errors.New("secret")
	}}))
	for _, path := range []string{"/panic", "/error"} {
		answer, text := get(t, s, path)
		if answer.StatusCode != 500 || bytes.Contains(text, []byte("secret")) {
			t.Errorf("%s: %s: %s", path, answer.Status, text)
		}
		if !strings.Contains(log.String(), "secret") || !strings.Contains(log.String(), answer.Header.Get("X-Request-Id")) {
			t.Errorf("%s: the log is %s", path, log)
		}
		log.Reset()
	}
}

// The page has its files and an answer to those who ask whether they have changed.
func TestPage(t *testing.T) {
	s, _ := start(t, "", nil)
	answer, text := get(t, s, "/")
	if answer.StatusCode != 200 || !bytes.Contains(text, []byte("<html")) ||
		!strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%s, %v: %.100s", answer.Status, answer.Header, text)
	}
	again, _ := get(t, s, "/", "If-None-Match: "+answer.Header.Get("ETag"))
	if again.StatusCode != 304 {
		t.Errorf("with the tag: %s", again.Status)
	}
}

// A server answers over the network, and ends when it is asked to: streams are told, other requests come to an end.
func TestServe(t *testing.T) {
	s, _ := start(t, "", nil)
	entered := make(chan struct{})
	s.mux.Handle("GET /stream", s.serve(route{handle: func(w http.ResponseWriter, r *http.Request) error {
		close(entered)
		<-s.ending
		_, err := io.WriteString(w, "the end")
		return err
	}}))
	l, url, err := Listen(Settings{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	got := make(chan string, 1)
	go func() {
		answer, err := http.Get(url + "stream")
		if err != nil {
			got <- err.Error()
			return
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			got <- err.Error()
			return
		}
		got <- string(text)
	}()
	<-entered
	cancel()
	if text := <-got; text != "the end" {
		t.Errorf("the stream is %q", text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Two servers don't share a state folder.
func TestStateIsLocked(t *testing.T) {
	s, _ := start(t, "", nil)
	o := s.options
	o.State = s.state
	if _, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another server uses this folder") {
		t.Errorf("the error is %v", err)
	}
}

// No more connections than the limit are accepted, and a closed one makes room.
func TestConnectionsAreLimited(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limit(inner, 1)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first, second := dial(), dial()
	defer first.Close()
	defer second.Close()
	one := <-accepted
	if n := len(l.(*limited).free); n != 1 {
		t.Errorf("%d connections are counted", n)
	}
	if err := errors.Join(one.Close(), one.Close()); err == nil {
		t.Error("a connection is closed twice")
	}
	two := <-accepted // there is room for it
	if err := errors.Join(two.Close(), inner.Close()); err != nil {
		t.Error(err)
	}
	for range accepted {
	}
}
