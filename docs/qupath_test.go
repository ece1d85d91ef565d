package docs

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/server"
)

var rewrite = flag.Bool("rewrite", false, "write what the script for QuPath requests to its list, with Groovy")

// The script for QuPath, what drives its client, and the list of what that requests, in order.
const (
	qupathScript  = "../scripts/qupath/virtual-stain.groovy"
	qupathDriver  = "../scripts/qupath/testdata/traffic.groovy"
	qupathTraffic = "../scripts/qupath/testdata/traffic.json"
)

// groovyVariable names a class path with Groovy 4 and Gson, as QuPath has them.
const groovyVariable = "HISTDIST_GROOVY"

const qupathToken = "0123456789abcdef0123456789abcdef"

// exchange is a request with the status of its answer. In place of identifiers are what they identify: {slide},
// {upload}, {job 1}.
type exchange struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    any               `json:"body,omitempty"` // JSON, or what kind of file
	Status  int               `json:"status"`
}

// names stand for identifiers, which differ from run to run.
type names struct {
	byID map[string]string // the names of identifiers
	jobs int
}

// learn finds identifiers in the answer to a request.
func (n *names) learn(e exchange, answer []byte) {
	var one struct{ ID string }
	var list []struct{ ID, Name string }
	switch {
	case e.Method == http.MethodGet && e.Path == "/api/v1/slides" && json.Unmarshal(answer, &list) == nil:
		for _, slide := range list {
			if slide.Name == slideName {
				n.byID[slide.ID] = "{slide}"
			}
		}
	case e.Status > 201 || e.Method != http.MethodPost || json.Unmarshal(answer, &one) != nil || n.byID[one.ID] != "":
	case e.Path == "/api/v1/jobs":
		n.jobs++
		n.byID[one.ID] = "{job " + string(rune('0'+n.jobs)) + "}"
	case strings.HasPrefix(e.Path, "/api/v1/uploads"):
		n.byID[one.ID] = "{upload}"
	}
}

func (n *names) replace(text string) string {
	for id, name := range n.byID {
		text = strings.ReplaceAll(text, id, name)
	}
	return text
}

// restore puts identifiers in the place of names.
func (n *names) restore(text string) string {
	for id, name := range n.byID {
		text = strings.ReplaceAll(text, name, id)
	}
	return text
}

// headers that the server acts on.
var headers = []string{"Authorization", "Content-Type", "Idempotency-Key"}

// recorder notes what a server is asked. Requests that are repeated to wait for something count once.
type recorder struct {
	server http.Handler

	lock  sync.Mutex
	names names
	all   []exchange
}

func (c *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	c.server.ServeHTTP(answer, r)
	c.note(r, body, answer)
	for key, values := range answer.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (c *recorder) note(r *http.Request, body []byte, answer *httptest.ResponseRecorder) {
	c.lock.Lock()
	defer c.lock.Unlock()
	e := exchange{
		Method: r.Method, Path: c.names.replace(r.URL.RequestURI()), Headers: map[string]string{}, Status: answer.Code,
	}
	for _, name := range headers {
		if value := r.Header.Get(name); value != "" {
			e.Headers[name] = value
		}
	}
	if e.Headers["Content-Type"] == "application/json" {
		if err := json.Unmarshal([]byte(c.names.replace(string(body))), &e.Body); err != nil {
			e.Body = "not JSON: " + string(body)
		}
	} else if len(body) > 0 {
		e.Body = "the slide"
	}
	c.names.learn(e, answer.Body.Bytes())
	if n := len(c.all); n == 0 || !cmp.Equal(c.all[n-1], e) || e.Method != http.MethodGet {
		c.all = append(c.all, e)
	}
}

func servedToQuPath(t *testing.T) (*server.Server, string) {
	t.Helper()
	tokens := filepath.Join(t.TempDir(), "tokens")
	write(t, tokens, []byte("qupath "+qupathToken+"\n"))
	return served(t, func(s *server.Settings) { s.TokenFile = tokens })
}

func readTraffic(t *testing.T) (all []exchange) {
	t.Helper()
	text, err := os.ReadFile(qupathTraffic)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatalf("%s: %v", qupathTraffic, err)
	}
	return all
}

// The server answers what the script requests, as the script expects it.
func TestTrafficOfQuPath(t *testing.T) {
	s, slide := servedToQuPath(t)
	listening := httptest.NewServer(s)
	defer listening.Close()
	known := names{byID: map[string]string{}}
	job := regexp.MustCompile(`^/api/v1/jobs/\{job \d\}$`)
	for _, e := range readTraffic(t) {
		for done := false; !done; {
			status, answer := send(t, listening.URL, known, e, slide)
			if status != e.Status {
				t.Fatalf("%s %s: status %d instead of %d: %s", e.Method, e.Path, status, e.Status, answer)
			}
			known.learn(e, answer)
			done = e.Method != http.MethodGet || status != 200 || !job.MatchString(e.Path) || ended(t, answer)
		}
	}
}

// ended reports whether a job has.
func ended(t *testing.T, answer []byte) bool {
	t.Helper()
	var job struct{ State, Error string }
	if err := json.Unmarshal(answer, &job); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	if job.State == "failed" || job.State == "cancelled" {
		t.Fatalf("the job is %s: %s", job.State, job.Error)
	}
	return job.State == "done"
}

func send(t *testing.T, url string, known names, e exchange, slide string) (int, []byte) {
	t.Helper()
	var body []byte
	var err error
	switch e.Body {
	case nil:
	case "the slide":
		body, err = os.ReadFile(slide)
	default:
		body, err = json.Marshal(e.Body)
		body = []byte(known.restore(string(body)))
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), e.Method, url+known.restore(e.Path), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range e.Headers {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, text
}

// The script requests what the list says, and takes the answers. This runs its part that knows nothing of QuPath.
func TestScriptForQuPath(t *testing.T) {
	classes := os.Getenv(groovyVariable)
	java, err := exec.LookPath("java")
	if classes == "" || err != nil {
		t.Skipf("the script for QuPath isn't run: it needs Java, and %s, a class path with Groovy 4 and Gson: "+
			"`make qupath-check` fetches them", groovyVariable)
	}
	s, slide := servedToQuPath(t)
	recorded := &recorder{server: s, names: names{byID: map[string]string{}}}
	listening := httptest.NewServer(recorded)
	defer listening.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, java, "-cp", classes, "groovy.ui.GroovyMain", qupathDriver,
		qupathScript, listening.URL, qupathToken, slide, t.TempDir())
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if *rewrite {
		text, err := json.MarshalIndent(recorded.all, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(qupathTraffic, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(readTraffic(t), recorded.all); diff != "" {
		t.Errorf("the requests differ from %s (-want +got); -rewrite writes it anew:\n%s", qupathTraffic, diff)
	}
	started := func(e exchange) bool { return e.Path == "/api/v1/jobs" && e.Status == http.StatusCreated }
	if !slices.ContainsFunc(recorded.all, started) {
		t.Error("the script has started no job")
	}
}
