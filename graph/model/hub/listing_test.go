package hub_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/internal/hubtest"
)

// Lists that would lead out of the cache are refused.
func TestHostileLists(t *testing.T) {
	for name, list := range map[string]string{
		"a path":         `[{"type":"file","path":"config.json","size":1,"oid":"%[1]s"},{"type":"file","path":"..\\x.json","size":1,"oid":"%[1]s"}]`,
		"a colon":        `[{"type":"file","path":"config.json","size":1,"oid":"%[1]s"},{"type":"file","path":"c:x.json","size":1,"oid":"%[1]s"}]`,
		"a hash":         `[{"type":"file","path":"config.json","size":1,"oid":"../../x"}]`,
		"a negative":     `[{"type":"file","path":"config.json","size":-1,"oid":"%[1]s"}]`,
		"an immense one": `[{"type":"file","path":"config.json","size":1,"oid":"%[1]s"},{"type":"file","path":"model.safetensors","size":1,"lfs":{"size":9e18,"oid":"%[1]s"}}]`,
	} {
		t.Run(name, func(t *testing.T) {
			s := hubtest.New(t, models())
			s.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/tree/") {
					return false
				}
				text := strings.ReplaceAll(list, "%[1]s", strings.Repeat("0", 40))
				_, _ = io.WriteString(w, strings.Replace(text, "9e18", "9000000000000000000", 1))
				return true
			}
			refuse(t, client(t, s, t.TempDir()), hub.Request{ID: "org/vit"}, nil)
			if got := s.Fetched(); len(got) > 0 {
				t.Errorf("fetched %v", got)
			}
		})
	}
	s := hubtest.New(t, models())
	s.Before = func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, `{"sha":"../../etc"}`)
		return true
	}
	refuse(t, client(t, s, t.TempDir()), hub.Request{ID: "org/vit"}, nil, "commit")
}

func FuzzCheckFile(f *testing.F) {
	f.Add("unet/config.json", int64(1), strings.Repeat("a", 40))
	f.Add("../x", int64(-1), "..")
	f.Fuzz(func(t *testing.T, path string, size int64, hash string) {
		if hub.CheckFile(path, size, hash) != nil {
			return
		}
		if !filepath.IsLocal(path) || size < 0 || strings.Trim(hash, "0123456789abcdef") != "" || len(hash) < 40 {
			t.Errorf("%q, %d, %q are accepted", path, size, hash)
		}
	})
}
