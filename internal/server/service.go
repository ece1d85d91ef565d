package server

import (
	"net/http"
	"runtime"

	"github.com/histdist/histdist/internal/openslide"
)

func (s *Server) serviceRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/health", handle: s.health, open: true},
		{pattern: "GET /api/v1/version", handle: s.version},
		{pattern: "GET /api/v1/openapi.json", handle: s.document},
		{pattern: "GET /metrics", handle: func(w http.ResponseWriter, r *http.Request) error {
			s.metrics.handler().ServeHTTP(w, r)
			return nil
		}},
	}
}

// health is the answer of GET /api/v1/health.
type health struct {
	Status  string   `json:"status"`
	Queue   counts   `json:"queue"`
	Devices []string `json:"devices"`
}

type counts struct {
	Queued  int `json:"queued"`
	Running int `json:"running"`
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	h := health{Status: "ok"}
	h.Queue.Queued, h.Queue.Running = s.jobCounts()
	for _, d := range s.devices {
		h.Devices = append(h.Devices, d.Name)
	}
	return reply(w, http.StatusOK, h)
}

// versions is the answer of GET /api/v1/version.
type versions struct {
	Version   string `json:"version"`
	Commit    string `json:"commit"` // "" if the build doesn't know it
	Go        string `json:"go"`
	OpenSlide string `json:"openslide"` // "" without it
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) error {
	v := versions{Version: s.options.Version, Commit: s.options.Commit, Go: runtime.Version()}
	if library, err := openslide.Load(); err == nil {
		v.OpenSlide = library.Version
	}
	return reply(w, http.StatusOK, v)
}
