// Package hubtest is a server of models for tests: what huggingface.co answers to the requests that a download makes.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Commit is that of every model's branch main.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// Server has models. Its fields are set before it is asked.
type Server struct {
	URL string // the endpoint
	CDN string // the server that large files are redirected to; another host, as browsers and tokens see it

	Models map[string]map[string][]byte // content by ID and path
	// Token, if not "", is what those must send who want files: the models are gated.
	Token string
	// NoRanges makes the server send whole files always.
	NoRanges bool
	// PageSize is the number of files in a page of a list; 0 is all.
	PageSize int
	// Hash, if not nil, replaces the hash that the list names for a path.
	Hash func(path, hash string) string
	// Before, if not nil, sees each request first, and reports whether it has answered.
	Before func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	requests []Request
	api      http.Handler
	cdn      http.Handler
}

// Handler answers as the endpoint and the server of large files do, without a network.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if "http://"+r.URL.Host == s.CDN {
			s.cdn.ServeHTTP(w, r)
			return
		}
		s.api.ServeHTTP(w, r)
	})
}

// Request is what a server was asked.
type Request struct {
	CDN           bool
	Path          string
	Range         string // of bytes; "" is everything
	Authorization string
}

// New starts a server, which ends with the test.
func New(t testing.TB, models map[string]map[string][]byte) *Server {
	s := &Server{Models: models}
	api, files := http.NewServeMux(), http.NewServeMux()
	api.HandleFunc("GET /api/models/{org}/{name}/revision/{revision...}", s.revision)
	api.HandleFunc("GET /api/models/{org}/{name}/tree/{commit}", s.tree)
	api.HandleFunc("GET /api/models/{org}/{name}/refs", s.refs)
	files.HandleFunc("GET /{org}/{name}/resolve/{commit}/{path...}", s.resolve)
	start := func(cdn bool, h http.Handler) (string, http.Handler) {
		h = s.recorded(cdn, h)
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		t.Cleanup(server.CloseClientConnections)
		return server.URL, h
	}
	s.URL, s.api = start(false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			api.ServeHTTP(w, r)
			return
		}
		files.ServeHTTP(w, r)
	}))
	s.CDN, s.cdn = start(true, http.HandlerFunc(s.content))
	return s
}

// recorded records the requests to a handler.
func (s *Server) recorded(cdn bool, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, Request{
			cdn, r.URL.Path, strings.TrimPrefix(r.Header.Get("Range"), "bytes="), r.Header.Get("Authorization"),
		})
		s.mu.Unlock()
		if s.Before == nil || !s.Before(w, r) {
			h.ServeHTTP(w, r)
		}
	})
}

// Requests lists what the server was asked so far; those of files alone if files is true.
func (s *Server) Requests(files bool) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r Request) bool {
		return files && (r.CDN || !strings.Contains(r.Path, "/resolve/"))
	})
}

// Fetched lists the paths of the files that were asked for, in alphabetical order and each as often as it was.
func (s *Server) Fetched() []string {
	list := []string{}
	for _, r := range s.Requests(true) {
		_, after, _ := strings.Cut(r.Path, "/resolve/"+Commit+"/")
		list = append(list, after)
	}
	slices.Sort(list)
	return list
}

// Forget forgets the requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// IsLarge reports whether a file is one of those that git keeps outside.
func IsLarge(name string) bool {
	return slices.Contains([]string{".safetensors", ".bin", ".ckpt", ".pth"}, path.Ext(name))
}

// Hash is the name of a file's content in a cache.
func Hash(name string, content []byte) string {
	if IsLarge(name) {
		sum := sha256.Sum256(content)
		return hex.EncodeToString(sum[:])
	}
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(content)), content...))
	return hex.EncodeToString(sum[:])
}

// Fail answers with an error as huggingface.co does.
func Fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Error-Code", code)
	w.Header().Set("X-Error-Message", message)
	w.WriteHeader(status)
}

// files returns a model's files, or answers that there are none.
func (s *Server) files(w http.ResponseWriter, r *http.Request) map[string][]byte {
	files := s.Models[r.PathValue("org")+"/"+r.PathValue("name")]
	if files == nil {
		Fail(w, http.StatusUnauthorized, "RepoNotFound", "Repository not found")
	}
	return files
}

func (s *Server) revision(w http.ResponseWriter, r *http.Request) {
	if s.files(w, r) == nil {
		return
	}
	if !slices.Contains([]string{"main", "v1", "refs/pr/1", Commit}, r.PathValue("revision")) {
		Fail(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+r.PathValue("revision"))
		return
	}
	reply(w, map[string]any{"id": r.PathValue("org") + "/" + r.PathValue("name"), "sha": Commit, "siblings": []any{}})
}

func (s *Server) refs(w http.ResponseWriter, _ *http.Request) {
	name := func(n string) map[string]any { return map[string]any{"name": n, "targetCommit": Commit} }
	reply(w, map[string]any{"branches": []any{name("main")}, "tags": []any{name("v1")}, "converts": []any{}})
}

func (s *Server) tree(w http.ResponseWriter, r *http.Request) {
	files := s.files(w, r)
	if files == nil {
		return
	}
	var list []any
	folders := map[string]bool{".": true}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if dir := path.Dir(name); !folders[dir] {
			folders[dir] = true
			list = append(list, map[string]any{"type": "directory", "oid": strings.Repeat("d", 40), "size": 0, "path": dir})
		}
		content := files[name]
		hash := Hash(name, content)
		if s.Hash != nil {
			hash = s.Hash(name, hash)
		}
		e := map[string]any{"type": "file", "oid": hash, "size": len(content), "path": name}
		if IsLarge(name) {
			e["oid"] = strings.Repeat("a", 40)
			e["lfs"] = map[string]any{"oid": hash, "size": len(content), "pointerSize": 134}
		}
		list = append(list, e)
	}
	var from int
	_, _ = fmt.Sscan(r.URL.Query().Get("cursor"), &from) // 0 without one
	if end := from + s.PageSize; s.PageSize > 0 && end < len(list) {
		// Of another server, as a mirror passes it on.
		next := fmt.Sprintf("https://huggingface.co%s?recursive=true&cursor=%d", r.URL.Path, end)
		w.Header().Set("Link", "<"+next+`>; rel="next"`)
		list = list[:end]
	}
	reply(w, list[from:])
}

func (s *Server) resolve(w http.ResponseWriter, r *http.Request) {
	files := s.files(w, r)
	if files == nil {
		return
	}
	w.Header().Set("X-Repo-Commit", Commit)
	switch got := r.Header.Get("Authorization"); {
	case s.Token == "" || got == "Bearer "+s.Token:
	case got == "":
		Fail(w, http.StatusUnauthorized, "GatedRepo", "Access to model is restricted.")
		return
	default:
		Fail(w, http.StatusForbidden, "GatedRepo", "Access to model is restricted and you are not in the authorized list.")
		return
	}
	name := r.PathValue("path")
	content, ok := files[name]
	if !ok {
		Fail(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	if !IsLarge(name) {
		w.Header().Set("ETag", `"`+Hash(name, content)+`"`)
		s.send(w, r, content)
		return
	}
	w.Header().Set("X-Linked-Etag", `"`+Hash(name, content)+`"`)
	w.Header().Set("X-Linked-Size", fmt.Sprint(len(content)))
	to := s.CDN + "/" + r.PathValue("org") + "/" + r.PathValue("name") + "/" + name
	http.Redirect(w, r, to+"?signature=secret", http.StatusFound)
}

// content answers as a network that delivers large files.
func (s *Server) content(w http.ResponseWriter, r *http.Request) {
	for id, files := range s.Models {
		if name, ok := strings.CutPrefix(r.URL.Path, "/"+id+"/"); ok {
			s.send(w, r, files[name])
			return
		}
	}
	http.NotFound(w, r)
}

func (s *Server) send(w http.ResponseWriter, r *http.Request, content []byte) {
	if !s.NoRanges {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	_, _ = w.Write(content) // a client that is gone is no error
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that is gone is no error
}
