package mlflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/histdist/histdist/internal/mlflow"
)

// server is as much of an MLflow server as a Run calls.
type server struct {
	lock        sync.Mutex
	experiments map[string]string // identifiers by names
	runs        []*serverRun
	headers     []string // Authorization of each request
	fail        int      // answers of requests to come: 503
	refuse      bool     // 401
}

type serverRun struct {
	Name    string
	Params  map[string]string
	Tags    map[string]string
	Metrics []mlflow.Metric
	Files   map[string]string
	Status  []string
	Ended   bool
}

func newServer(t *testing.T) (*server, string) {
	s := &server{experiments: map[string]string{}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, h.URL
}

type pair struct{ Key, Value string }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.headers = append(s.headers, r.Header.Get("Authorization"))
	answer := func(status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	wrong := func(status int, code string) {
		answer(status, map[string]string{"error_code": code, "message": "no " + r.URL.Path})
	}
	if s.refuse {
		wrong(http.StatusUnauthorized, "UNAUTHENTICATED")
		return
	}
	if s.fail > 0 {
		s.fail--
		http.Error(w, "come back later", http.StatusServiceUnavailable)
		return
	}
	var m struct {
		Name    string          `json:"name"`
		Run     string          `json:"run_id"`
		RunName string          `json:"run_name"`
		Status  string          `json:"status"`
		End     int64           `json:"end_time"`
		Params  []pair          `json:"params"`
		Tags    []pair          `json:"tags"`
		Metrics []mlflow.Metric `json:"metrics"`
	}
	body, _ := io.ReadAll(r.Body)
	run := func(id string) *serverRun {
		var i int
		if _, err := fmt.Sscanf(id, "run%d", &i); err != nil || i >= len(s.runs) {
			wrong(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
			return nil
		}
		return s.runs[i]
	}
	info := func(id string) any {
		return map[string]any{"run": map[string]any{"info": map[string]string{
			"run_id": id, "artifact_uri": "mlflow-artifacts:/7/" + id + "/artifacts", "lifecycle_stage": "active",
		}}}
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/2.0/")
	if name, ok := strings.CutPrefix(path, "mlflow-artifacts/artifacts/7/"); ok {
		id, name, _ := strings.Cut(name, "/artifacts/")
		if found := run(id); found != nil {
			found.Files[name] = string(body)
			answer(http.StatusOK, struct{}{})
		}
		return
	}
	if r.Method == http.MethodPost {
		if err := json.Unmarshal(body, &m); err != nil {
			wrong(http.StatusBadRequest, "MALFORMED_REQUEST")
			return
		}
	}
	switch path {
	case "mlflow/experiments/get-by-name":
		id := s.experiments[r.URL.Query().Get("experiment_name")]
		if id == "" {
			wrong(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST")
			return
		}
		answer(http.StatusOK, map[string]any{"experiment": map[string]string{"experiment_id": id}})
	case "mlflow/experiments/create":
		s.experiments[m.Name] = "7"
		answer(http.StatusOK, map[string]string{"experiment_id": "7"})
	case "mlflow/runs/create":
		s.runs = append(s.runs, &serverRun{
			Name: m.RunName, Params: map[string]string{}, Tags: map[string]string{}, Files: map[string]string{},
		})
		for _, p := range m.Tags {
			s.runs[len(s.runs)-1].Tags[p.Key] = p.Value
		}
		answer(http.StatusOK, info(fmt.Sprint("run", len(s.runs)-1)))
	case "mlflow/runs/get":
		if id := r.URL.Query().Get("run_id"); run(id) != nil {
			answer(http.StatusOK, info(id))
		}
	case "mlflow/runs/update":
		if found := run(m.Run); found != nil {
			found.Status, found.Ended = append(found.Status, m.Status), m.End > 0
			answer(http.StatusOK, struct{}{})
		}
	case "mlflow/runs/log-batch":
		found := run(m.Run)
		if found == nil {
			return
		}
		if len(m.Metrics) > 1000 || len(m.Params) > 100 {
			wrong(http.StatusBadRequest, "INVALID_PARAMETER_VALUE")
			return
		}
		for _, p := range m.Params {
			found.Params[p.Key] = p.Value
		}
		found.Metrics = append(found.Metrics, m.Metrics...)
		answer(http.StatusOK, struct{}{})
	default:
		wrong(http.StatusNotFound, "ENDPOINT_NOT_FOUND")
	}
}

func options(t *testing.T, url string) mlflow.Options {
	return mlflow.Options{
		Server: url, Env: func(string) string { return "" }, Experiment: "histdist", Name: "er",
		Params: map[string]string{"train.lr": "0.0001"}, Tags: map[string]string{"marker": "ER"},
		File: filepath.Join(t.TempDir(), "mlflow.json"), Pause: time.Millisecond, Linger: time.Minute,
	}
}

func start(t *testing.T, o mlflow.Options) *mlflow.Run {
	t.Helper()
	r, err := mlflow.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// many has the metrics of n steps.
func many(n int) (list []mlflow.Metric) {
	for i := range n {
		list = append(list, mlflow.Metric{Key: "train/loss", Value: float64(i), Time: 1, Step: int64(i)})
	}
	return list
}

func TestRunReachesTheServer(t *testing.T) {
	s, url := newServer(t)
	s.fail = 3 // before the run is made
	o := options(t, url)
	for i := range 250 {
		o.Params[fmt.Sprint("key", i)] = strings.Repeat("ä", 600)
	}
	r := start(t, o)
	list := append(many(2500), mlflow.Metric{Key: "nan", Value: math.NaN()}, mlflow.Metric{Key: "inf", Value: math.Inf(1)})
	for part := range slices.Chunk(list, 7) {
		r.Log(part)
	}
	r.Upload("validation/a b/step-000010.png", "image/png", []byte("pixels"))
	if err := r.Close(mlflow.Finished); err != nil {
		t.Fatal(err)
	}
	if len(s.runs) != 1 {
		t.Fatalf("%d runs", len(s.runs))
	}
	got := s.runs[0]
	if got.Name != "er" || got.Tags["marker"] != "ER" || len(got.Params) != 251 || len([]rune(got.Params["key7"])) != 500 {
		t.Errorf("name %s, tags %v, %d parameters", got.Name, got.Tags, len(got.Params))
	}
	if !slices.Equal(got.Metrics, many(2500)) {
		t.Errorf("%d metrics, or in another order", len(got.Metrics))
	}
	if got.Files["validation/a b/step-000010.png"] != "pixels" {
		t.Errorf("files %v", got.Files)
	}
	if !slices.Equal(got.Status, []string{"FINISHED"}) || !got.Ended {
		t.Errorf("status %v, ended %t", got.Status, got.Ended)
	}
}

// A run that is resumed goes on in the same MLflow run; one that begins anew, or that the server has lost, in another.
func TestRunContinues(t *testing.T) {
	s, url := newServer(t)
	o := options(t, url)
	for i, c := range []struct {
		resumed bool
		runs    int
	}{{false, 1}, {true, 1}, {true, 1}, {false, 2}, {true, 2}} {
		o.Continue = c.resumed
		r := start(t, o)
		r.Log(many(3))
		if err := r.Close(mlflow.Killed); err != nil {
			t.Fatal(err)
		}
		if len(s.runs) != c.runs {
			t.Fatalf("%d: %d runs, want %d", i, len(s.runs), c.runs)
		}
	}
	if want := []string{"KILLED", "RUNNING", "KILLED", "RUNNING", "KILLED"}; !slices.Equal(s.runs[0].Status, want) {
		t.Errorf("status %v", s.runs[0].Status)
	}
	if n := len(s.runs[0].Metrics); n != 9 {
		t.Errorf("%d metrics, want those of three parts", n)
	}
	s.runs = nil
	if err := start(t, o).Close(mlflow.Finished); err != nil || len(s.runs) != 1 {
		t.Errorf("a run that the server has lost: %d runs, %v", len(s.runs), err)
	}
}

// A server that hangs, or isn't there, costs the training no time, and what it doesn't get is told.
func TestRunWithoutAServer(t *testing.T) {
	hangs := make(chan struct{})
	h := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hangs:
		case <-r.Context().Done():
		}
	}))
	defer h.Close()
	defer close(hangs)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, url := range []string{h.URL, gone.URL} {
		o := options(t, url)
		o.Linger = 50 * time.Millisecond
		r := start(t, o)
		for range 120 {
			r.Log(many(1000)) // more than there is room for
		}
		r.Upload("panel.png", "image/png", []byte("pixels"))
		err := r.Close(mlflow.Finished)
		if err == nil || !strings.Contains(err.Error(), "did not get 120000 metrics and 1 images") {
			t.Errorf("%s: %v", url, err)
		}
		if _, err := os.Stat(o.File); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a run that isn't there was remembered: %v", url, err)
		}
	}
}

func TestRunThatIsRefused(t *testing.T) {
	s, url := newServer(t)
	s.refuse = true
	r := start(t, options(t, url))
	r.Log(many(3))
	err := r.Close(mlflow.Finished)
	if err == nil || !strings.Contains(err.Error(), "401") || !strings.Contains(err.Error(), "3 metrics") {
		t.Error(err)
	}
	if len(s.headers) != 1 {
		t.Errorf("%d requests, though the first was refused", len(s.headers))
	}
}

func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, ""},
		{map[string]string{"MLFLOW_TRACKING_TOKEN": "secret"}, "Bearer secret"},
		{map[string]string{"MLFLOW_TRACKING_USERNAME": "a", "MLFLOW_TRACKING_PASSWORD": "b"}, "Basic YTpi"},
	} {
		s, url := newServer(t)
		o := options(t, url)
		o.Env = func(key string) string { return c.env[key] }
		if err := start(t, o).Close(mlflow.Finished); err != nil {
			t.Fatal(err)
		}
		for _, got := range s.headers {
			if got != c.want {
				t.Errorf("%v: %q", c.env, got)
			}
		}
	}
	for _, wrong := range []string{"", "localhost:5000", "file:///tmp/mlruns", "http://a:b@localhost:5000", "http://"} {
		if err := mlflow.CheckURL(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
