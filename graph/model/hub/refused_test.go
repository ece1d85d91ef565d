package hub_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/internal/hubtest"
)

func TestRefusals(t *testing.T) {
	zeros := func(of func(name string) bool, length int) func(name, hash string) string {
		return func(name, hash string) string {
			if of(name) {
				return strings.Repeat("0", length)
			}
			return hash
		}
	}
	other := func(s *hubtest.Server, size int) func(http.ResponseWriter, *http.Request) bool { // large files
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Host != strings.TrimPrefix(s.CDN, "http://") {
				return false
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(random(99, size)))
			return true
		}
	}
	answer := func(status int, code, message string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			hubtest.Fail(w, status, code, message)
			return true
		}
	}
	for name, test := range map[string]struct {
		request hub.Request
		server  func(s *hubtest.Server)
		token   string
		is      error
		words   []string
	}{
		"gated, no token": {
			hub.Request{ID: "org/vit"},
			func(s *hubtest.Server) { s.Token = "right" }, "", hub.ErrGated,
			[]string{"accept its conditions on http://", "/org/vit", "HF_TOKEN", "settings/tokens"},
		},
		"gated, another's token": {
			hub.Request{ID: "org/vit"},
			func(s *hubtest.Server) { s.Token = "right" }, "wrong", hub.ErrGated,
			[]string{"your token has no access", "/org/vit", "fine-grained"},
		},
		"invalid token": {
			hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
				s.Before = answer(http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
			}, "old", nil, []string{"the token isn't valid", "settings/tokens"},
		},
		"forbidden": {
			hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
				s.Before = answer(http.StatusForbidden, "", "from this country")
			}, "", nil, []string{"no access", "from this country"},
		},
		"no such model": {hub.Request{ID: "org/none"}, nil, "", hub.ErrNotFound, []string{"private", "HF_TOKEN"}},
		"no such model for this user": {
			hub.Request{ID: "org/none"}, nil, "mine", hub.ErrNotFound, []string{"not for your token"},
		},
		"no such revision": {
			hub.Request{ID: "org/vit", Revision: "v2"}, nil, "", hub.ErrNotFound, []string{"revision v2", "there are: main, v1"},
		},
		"no such variant": {
			hub.Request{ID: "org/sd", Variant: "fp8"}, nil, "", nil, []string{"variant fp8", "there are: fp16, non_ema"},
		},
		"no weights": {hub.Request{ID: "org/flax"}, nil, "", nil, []string{"want .safetensors or .bin", "flax_model.msgpack"}},
		"no model":   {hub.Request{ID: "org/dataset"}, nil, "", nil, []string{"model_index.json", "README.md, images.zip"}},
		"no server of models": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = func(w http.ResponseWriter, _ *http.Request) bool {
				_, _ = io.WriteString(w, "<html>please log in")
				return true
			}
		}, "", nil, []string{"HF_ENDPOINT", "log"}},
		"another page": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = answer(http.StatusNotFound, "", "")
		}, "", hub.ErrNotFound, []string{"404 Not Found"}},
		"a file is gone": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/config.json") {
					hubtest.Fail(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
					return true
				}
				return false
			}
		}, "", nil, []string{"config.json", "Entry not found"}},
		"a busy server": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = answer(http.StatusServiceUnavailable, "", "busy")
		}, "", nil, []string{"503", "busy", "after 5 tries"}},
		"another content at the file's address": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Hash = zeros(hubtest.IsLarge, 64)
		}, "", nil, []string{"model.safetensors", "mirror"}},
		"a wrong small file": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Hash = zeros(func(name string) bool { return name == "config.json" }, 40)
		}, "", hub.ErrHash, []string{"config.json", strings.Repeat("0", 40)}},
		"a wrong large file": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = other(s, 3*part)
		}, "", hub.ErrHash, []string{"model.safetensors"}},
		"a large file of another size": {hub.Request{ID: "org/vit"}, func(s *hubtest.Server) {
			s.Before = other(s, 3*part+1)
		}, "", nil, []string{"model.safetensors", "bytes 0-1023/3073"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := hubtest.New(t, models())
			if test.server != nil {
				test.server(s)
			}
			c := client(t, s, t.TempDir())
			c.Token = test.token
			refuse(t, c, test.request, test.is, test.words...)
			if left, err := filepath.Glob(filepath.Join(c.Cache, "*", "blobs", "*"+hub.Incomplete)); err != nil ||
				errors.Is(test.is, hub.ErrHash) && slices.ContainsFunc(left, func(p string) bool {
					return strings.Contains(p, hubtest.Hash("model.safetensors", s.Models["org/vit"]["model.safetensors"]))
				}) {
				t.Errorf("a wrong content is left: %v, %v", left, err)
			}
		})
	}
}
