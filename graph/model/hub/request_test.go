package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/internal/hubtest"
)

// The token goes to the endpoint and not to the server that it redirects to.
func TestToken(t *testing.T) {
	s := hubtest.New(t, models())
	s.Token = "hf_secret"
	for name, set := range map[string]func(t *testing.T){
		"variable": func(t *testing.T) { t.Setenv("HF_TOKEN", " hf_secret\n") },
		"old name": func(t *testing.T) { t.Setenv("HUGGING_FACE_HUB_TOKEN", "hf_secret") },
		"file": func(t *testing.T) {
			write(t, filepath.Join(os.Getenv("HF_HOME"), "token"), "hf_secret\n")
		},
		"path": func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mine")
			t.Setenv("HF_TOKEN_PATH", path)
			write(t, path, "hf_secret")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.Forget()
			cache := t.TempDir()
			client(t, s, cache)
			set(t)
			c, err := hub.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			pull(t, c, "org/sd")
			redirected := 0
			for _, r := range s.Requests(false) {
				if r.CDN {
					redirected++
				}
				if sent := r.Authorization != ""; sent == r.CDN || sent && r.Authorization != "Bearer hf_secret" {
					t.Errorf("%+v", r)
				}
			}
			if redirected == 0 {
				t.Error("nothing was redirected")
			}
			t.Setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
			if c, err := hub.New(nil); err != nil || c.Token != "" {
				t.Errorf("token %q although it is disabled, %v", c.Token, err)
			}
		})
	}
}

func TestOffline(t *testing.T) {
	s := hubtest.New(t, models())
	client(t, s, t.TempDir())
	for _, v := range []string{"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} {
		t.Setenv(v, "1")
		if _, err := hub.New(nil); err == nil || !strings.Contains(err.Error(), v) {
			t.Errorf("%s: %v", v, err)
		}
		t.Setenv(v, "")
	}
	t.Setenv("HF_ENDPOINT", "huggingface.co")
	if _, err := hub.New(nil); err == nil || !strings.Contains(err.Error(), "HF_ENDPOINT") {
		t.Errorf("an address without https: %v", err)
	}
}

// Nothing answers at the address.
func TestUnreachable(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	c.Endpoint = "http://127.0.0.1:1"
	refuse(t, c, hub.Request{ID: "org/vit"}, nil, "can't be reached", "HTTPS_PROXY", "HF_ENDPOINT")
}

// A server that is asked too often says how long to wait, and is obeyed unless that is too long.
func TestRetryAfter(t *testing.T) {
	for after, fails := range map[string]bool{"7": false, "later": false, "": false, "3600": true} {
		s := hubtest.New(t, models())
		var refused atomic.Int32
		s.Before = func(w http.ResponseWriter, _ *http.Request) bool {
			if refused.Add(1) > 2 {
				return false
			}
			w.Header().Set("Retry-After", after)
			hubtest.Fail(w, http.StatusTooManyRequests, "", "slow down")
			return true
		}
		var waits []time.Duration
		c := client(t, s, t.TempDir()).Hook(hub.Hooks{Wait: func(_ context.Context, d time.Duration) error {
			waits = append(waits, d)
			return nil
		}})
		if fails {
			refuse(t, c, hub.Request{ID: "org/vit"}, nil, "wait for 1h0m0s")
			continue
		}
		pull(t, c, "org/vit")
		least := []time.Duration{time.Second, 2 * time.Second}
		if after == "7" {
			least = []time.Duration{7 * time.Second, 7 * time.Second}
		}
		if len(waits) != 2 || waits[0] < least[0] || waits[1] < least[1] || waits[1] > 8*time.Second {
			t.Errorf("Retry-After %q: waits %v, want at least %v", after, waits, least)
		}
	}
}

// isContent reports whether a request is for the content of the U-Net, to which the server has redirected.
func isContent(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, unet) && strings.HasSuffix(r.URL.RawQuery, "secret")
}

// breakOff answers a range with some of its bytes and closes the connection.
func breakOff(t *testing.T, w http.ResponseWriter, r *http.Request, content []byte) {
	var from, to int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
		t.Errorf("range %q: %v", r.Header.Get("Range"), err)
		return
	}
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(content)))
	w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(content[from:min(from+100, to)])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// After a dropped connection a part goes on where it was.
func TestDroppedConnections(t *testing.T) {
	s := hubtest.New(t, models())
	var dropped atomic.Bool
	s.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if !isContent(r) || dropped.Swap(true) {
			return false
		}
		breakOff(t, w, r, s.Models["org/sd"][unet])
		return true
	}
	folder := pull(t, client(t, s, t.TempDir()), "org/sd")
	holds(t, s, "org/sd", folder, unet)
	got := asked(s, unet)
	if !slices.Contains(got, "0-1023") || !slices.Contains(got, "100-1023") {
		t.Errorf("asked for %v, want 0-1023 and then 100-1023", got)
	}
}

// A server that never comes to an end is given up, but not as long as it gets on.
func TestTries(t *testing.T) {
	s := hubtest.New(t, models())
	var requests atomic.Int32
	s.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if !isContent(r) {
			return false
		}
		if requests.Add(1) > hub.Tries+3 { // of the first part, in steps of 100 bytes
			panic(http.ErrAbortHandler)
		}
		breakOff(t, w, r, s.Models["org/sd"][unet])
		return true
	}
	c := client(t, s, t.TempDir())
	refuse(t, c, hub.Request{ID: "org/sd"}, nil, unet, "after 5 tries", "run the command again")
	if n := requests.Load(); n != hub.Tries+3+hub.Tries-1 { // the last that got on is the first failure
		t.Errorf("%d requests, want %d", n, 2*hub.Tries+2)
	}
}

// silent is a network in which the first file's content begins and then nothing comes any more.
type silent struct {
	http.RoundTripper
	silenced atomic.Bool
}

func (n *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Range") == "" || !n.silenced.CompareAndSwap(false, true) {
		return n.RoundTripper.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: http.StatusPartialContent, Request: r, Body: quiet{r.Context()},
		Header: http.Header{"Content-Range": {"bytes 0-1023/3072"}},
	}, nil
}

type quiet struct{ ctx context.Context }

func (q quiet) Read([]byte) (int, error) {
	<-q.ctx.Done()
	return 0, q.ctx.Err()
}

func (q quiet) Close() error { return nil }

// served answers requests by a handler, without a network.
type served struct{ http.Handler }

func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	s.ServeHTTP(w, r)
	return &http.Response{
		StatusCode: w.status, Header: w.header, Request: r, ContentLength: int64(w.Len()), Body: io.NopCloser(&w.Buffer),
	}, nil
}

type recorder struct {
	bytes.Buffer
	header http.Header
	status int
}

func (w *recorder) Header() http.Header    { return w.header }
func (w *recorder) WriteHeader(status int) { w.status = status }

// A server that sends nothing for a while is asked again.
func TestSilence(t *testing.T) {
	s := hubtest.New(t, models())
	c := client(t, s, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		n := &silent{RoundTripper: served{s.Handler()}}
		c.Hook(hub.Hooks{Transport: n})
		began := time.Now()
		if _, err := c.Pull(t.Context(), hub.Request{ID: "org/vit"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != hub.Stalled || !n.silenced.Load() {
			t.Errorf("took %v, want %v", took, hub.Stalled)
		}
	})
}
