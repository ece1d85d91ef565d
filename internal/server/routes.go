package server

import (
	"context"
	"net/http"
	"strings"
)

// handler answers a request, or returns why it can't: a *Problem, or a fault of the server.
type handler func(w http.ResponseWriter, r *http.Request) error

// route says what answers which requests.
type route struct {
	pattern string // as http.ServeMux has it, with its method: GET /api/v1/slides/{slide}
	handle  handler

	path   string // in the document of the interface, where the pattern can't say it, as {image}.dzi
	hidden bool   // not in the document: files of the page
	open   bool   // needs no token
	body   int64  // bytes that the body may have; 0: as maxBody
}

// maxBody limits the bodies of routes without a limit of their own.
const maxBody = 1 << 20

// routes are all routes.
func (s *Server) routes() []route {
	var all []route
	for _, some := range [][]route{
		s.serviceRoutes(), s.modelRoutes(), s.slideRoutes(), s.imageRoutes(), s.iiifRoutes(), s.uploadRoutes(),
		s.jobRoutes(), s.pageRoutes(),
	} {
		all = append(all, some...)
	}
	return all
}

// newMux answers requests by their route; what has none is answered by s.lost.
func (s *Server) newMux() *http.ServeMux {
	m := http.NewServeMux()
	for _, one := range s.routes() {
		m.Handle(one.pattern, s.serve(one))
	}
	m.Handle("/", s.serve(route{open: true, handle: func(_ http.ResponseWriter, r *http.Request) error {
		return s.lost(m, r)
	}}))
	return m
}

// lost is why a request has no route: its path, or only its method.
func (s *Server) lost(m *http.ServeMux, r *http.Request) error {
	var allowed []string
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	} {
		other := r.Clone(context.WithoutCancel(r.Context()))
		other.Method = method
		if _, pattern := m.Handler(other); pattern != "/" && pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		return problem(http.StatusMethodNotAllowed, "the method has to be %s here: see /api/v1/openapi.json",
			strings.Join(allowed, " or ")).with("Allow", strings.Join(allowed, ", "))
	}
	return problem(http.StatusNotFound, "there is nothing at this path: see /api/v1/openapi.json")
}

// serve is a route as net/http has it: whose token the request has, how much it may send, and what is told of an error.
func (s *Server) serve(one route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := func() error {
			user, err := s.user(r)
			if err != nil && !one.open {
				return err
			}
			limit := one.body
			if limit == 0 {
				limit = maxBody
			}
			if r.ContentLength > limit {
				return &http.MaxBytesError{Limit: limit}
			}
			if r.Body != nil && r.Body != http.NoBody {
				body := newBody(w, http.MaxBytesReader(w, r.Body, limit))
				defer body.done()
				r.Body = body
			}
			info := infoOf(r)
			info.user = user
			return one.handle(w, r)
		}()
		if err != nil {
			s.fail(w, r, err)
		}
	})
}
