package server

import "net/http"

func (s *Server) modelRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/models", handle: func(w http.ResponseWriter, _ *http.Request) error {
			return reply(w, http.StatusOK, s.models.List())
		}},
	}
}
