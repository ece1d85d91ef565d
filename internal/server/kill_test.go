package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/histdist/histdist/internal/server/models"
	"github.com/histdist/histdist/internal/server/queue"
)

// The variables that make this test's program a server: its state, its slides and its model.
const (
	childState  = "HISTDIST_SERVER_CHILD"
	childSlides = "HISTDIST_SERVER_SLIDES"
	childModel  = "HISTDIST_SERVER_MODEL"
)

func TestMain(m *testing.M) {
	if state := os.Getenv(childState); state != "" {
		if err := child(state); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child is a server, which says its URL.
func child(state string) error {
	o := Options{Settings: DefaultSettings(), Version: "1.2", Foreground: true}
	o.Address, o.State, o.Slides = "127.0.0.1:0", state, []string{os.Getenv(childSlides)}
	o.Models = []models.Source{{Folder: os.Getenv(childModel)}}
	o.Devices = []models.Device{{Name: "auto", Open: openDevice}}
	l, url, err := Listen(o.Settings)
	if err != nil {
		return err
	}
	s, err := New(context.Background(), o)
	if err != nil {
		return err
	}
	s.jobs.pace = 0
	fmt.Println(url)
	return s.Serve(context.Background(), l)
}

// victim is a running child.
type victim struct {
	*exec.Cmd
	url string
}

func startVictim(t *testing.T, state, slides, model string) *victim {
	t.Helper()
	v := &victim{Cmd: exec.Command(os.Args[0], "-test.run=^$")}
	v.Env = append(os.Environ(), childState+"="+state, childSlides+"="+slides, childModel+"="+model)
	v.Stderr = os.Stderr
	out, err := v.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Process.Kill() }) // it has ended, unless the test failed
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "http://") {
		t.Fatalf("the server says %q", lines.Text())
	}
	v.url = strings.TrimSuffix(lines.Text(), "/")
	return v
}

func (v *victim) kill(t *testing.T) {
	t.Helper()
	if err := v.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = v.Wait() // it was killed
}

// add adds a job under a key, and returns it.
func (v *victim) add(t *testing.T, body, key string) jobAnswer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.url+"/api/v1/jobs", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return decoded[jobAnswer](t, answer, text)
}

// watch reads the events of a job, at most so many, and returns the last.
func (v *victim) watch(t *testing.T, id string, most int) (last jobAnswer) {
	t.Helper()
	answer, err := http.Get(v.url + jobURL(id) + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for n := 0; n < most && lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			n++
			if err := json.Unmarshal([]byte(text), &last); err != nil {
				t.Fatal(err)
			}
		}
	}
	return last
}

// Of a server that is killed at twenty random moments while it translates, no job is lost or done twice, and each has
// the files of an undisturbed server.
func TestKilledServer(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s, one := withJobs(t, "ER", nil) // the undisturbed server
	const jobs = 5
	bodies, want := make([]string, jobs), make([]map[string]string, jobs)
	for i := range bodies {
		bodies[i] = jobBody(one, fmt.Sprintf(`,"seed":%d`, i))
		answer, text := post(t, s, bodies[i])
		job := finished(t, s, decoded[jobAnswer](t, answer, text).ID)
		want[i] = files(t, s.jobs.queue.Folder(job.ID))
	}
	key, err := os.ReadFile(filepath.Join(s.state, "key"))
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	write(t, filepath.Join(state, "key"), key) // slides have the same identifiers
	ids := make([]string, jobs)
	ended := map[string]time.Time{}
	for range 20 {
		v := startVictim(t, state, s.settings.Slides[0], s.options.Models[0].Folder)
		for i, body := range bodies[:1+random.IntN(jobs)] {
			job := v.add(t, body, fmt.Sprint("key", i))
			if ids[i] != "" && ids[i] != job.ID {
				t.Errorf("job %d was lost", i)
			}
			ids[i] = job.ID
			if at, some := ended[job.ID]; some && (job.State != queue.Done || !job.Ended.Equal(at)) {
				t.Errorf("job %d had ended at %v, and is %s, ended %v", i, at, job.State, job.Ended)
			}
		}
		for i, id := range ids {
			if id == "" {
				continue
			}
			last := v.watch(t, id, 1+random.IntN(9))
			if last.State == queue.Failed {
				t.Errorf("job %d: %s", i, last.Error)
			}
			if last.State != queue.Done {
				break
			}
			ended[id] = *last.Ended
		}
		v.kill(t)
	}
	v := startVictim(t, state, s.settings.Slides[0], s.options.Models[0].Folder)
	for i, body := range bodies {
		job := v.add(t, body, fmt.Sprint("key", i))
		if ids[i] != "" && ids[i] != job.ID {
			t.Errorf("job %d was lost", i)
		}
		if last := v.watch(t, job.ID, 1<<30); last.State != queue.Done {
			t.Errorf("job %d: %s %s", i, last.State, last.Error)
		}
		got := files(t, filepath.Join(state, "results", job.ID))
		for name := range maps.Keys(got) {
			if got[name] != want[i][name] {
				t.Errorf("job %d has another file %s", i, name)
			}
		}
		if len(got) != len(want[i]) {
			t.Errorf("job %d has %d files, want %d", i, len(got), len(want[i]))
		}
	}
	v.kill(t)
}
