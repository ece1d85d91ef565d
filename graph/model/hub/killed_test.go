package hub_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/hubtest"
)

// childCache names the cache of TestChild.
const childCache = "HISTDIST_TEST_HUB_CACHE"

// TestChild is a process that pulls org/vit and that the other tests start and kill.
func TestChild(t *testing.T) {
	if os.Getenv(childCache) == "" {
		t.Skip("started by other tests")
	}
	c, err := hub.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Hook(hub.Hooks{Part: part}).Pull(t.Context(), hub.Request{ID: "org/vit"}); err != nil {
		t.Fatal(err)
	}
}

// child starts a process that pulls org/vit from a server into the cache of a client.
func child(t *testing.T, c *hub.Client) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childCache+"="+c.Cache)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

const vit = "model.safetensors"

// held returns a server that answers a request for a range of org/vit's weights once release is called, and a channel
// that is closed when it was asked.
func held(t *testing.T, hold string) (s *hubtest.Server, asked <-chan struct{}, release func()) {
	s = hubtest.New(t, models())
	came, gone := make(chan struct{}), make(chan struct{})
	var once, end sync.Once
	s.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Host == strings.TrimPrefix(s.CDN, "http://") && r.Header.Get("Range") == "bytes="+hold {
			once.Do(func() { close(came) })
			<-gone
		}
		return false
	}
	release = func() { end.Do(func() { close(gone) }) }
	t.Cleanup(release)
	return s, came, release
}

// A program that was killed has lost no part that was complete.
func TestKilled(t *testing.T) {
	s, came, release := held(t, "1024-2047")
	c := client(t, s, t.TempDir())
	cmd := child(t, c)
	<-came // the first part is complete: it is downloaded alone
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child wasn't killed")
	}
	release()
	s.Forget()
	folder := pull(t, c, "org/vit")
	if got := asked(s, vit); slices.Contains(got, "0-1023") || !slices.Contains(got, "1024-2047") {
		t.Errorf("asked for %v, want all but the first part", got)
	}
	content, err := os.ReadFile(filepath.Join(folder, vit))
	if err != nil || !bytes.Equal(content, s.Models["org/vit"][vit]) {
		t.Errorf("other content, %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(c.Cache, "*", "blobs", "*"+hub.Incomplete)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Of two processes one downloads, and the other waits and finds what it downloaded.
func TestTwoProcesses(t *testing.T) {
	s, came, release := held(t, "1024-2047")
	c := client(t, s, t.TempDir())
	cmd := child(t, c)
	<-came // it has the lock
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var waited sync.Once
	c.Hook(hub.Hooks{Wait: func(context.Context, time.Duration) error {
		waited.Do(func() {
			release()
			if err := <-ended; err != nil {
				t.Errorf("the other process: %v", err)
			}
		})
		return nil
	}})
	var notes []string
	c.Observe = progress.On(func(n progress.Note) error {
		notes = append(notes, string(n))
		return nil
	})
	pull(t, c, "org/vit")
	if len(notes) != 1 || !strings.Contains(notes[0], vit) || !strings.Contains(notes[0], "holds it") {
		t.Errorf("notes %q, want one on %s", notes, vit)
	}
	if diff := cmp.Diff(ranges(3*part), asked(s, vit)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
