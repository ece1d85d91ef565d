package server

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/histdist/histdist/internal/server/queue"
)

// info is what is known of a request, for the log and its handler.
type info struct {
	id   string
	user string // "" before the token was checked
	err  error  // what the answer is a problem for
}

type infoKey struct{}

// infoOf is what is known of a request.
func infoOf(r *http.Request) *info {
	i, _ := r.Context().Value(infoKey{}).(*info)
	if i == nil {
		i = &info{}
	}
	return i
}

func requestID(r *http.Request) string { return infoOf(r).id }

// userOf is whose token a request has.
func userOf(r *http.Request) string { return infoOf(r).user }

// ServeHTTP answers a request and logs it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	i := &info{id: queue.NewID()}
	r = r.WithContext(context.WithValue(r.Context(), infoKey{}, i))
	answer := newResponse(w)
	s.secure(answer.Header())
	answer.Header().Set("X-Request-Id", i.id)
	s.metrics.running.Inc()
	defer func() {
		s.metrics.running.Dec()
		fault := recover()
		if fault != nil && !aborted(fault) {
			s.log.Error("a handler has panicked", "request", i.id, "panic", fault)
			if answer.status == 0 {
				asProblem(errFault).write(answer, r)
			}
		}
		s.observed(answer, r, i, time.Since(begin))
	}()
	err := s.checkHost(r)
	if err == nil {
		err = s.checkOrigin(r)
	}
	if err != nil {
		s.fail(answer, r, err)
		return
	}
	s.mux.ServeHTTP(answer, r)
}

// observed counts and logs an answered request. Routes are named, paths are not: they are the client's words.
func (s *Server) observed(w *response, r *http.Request, i *info, took time.Duration) {
	name := r.Pattern
	if name == "" || name == "/" {
		name = "none"
	}
	if _, path, ok := strings.Cut(name, " "); ok {
		name = path
	}
	status := w.status
	if status == 0 {
		status = http.StatusOK
		if r.Context().Err() != nil {
			status = statusGone
		}
	}
	s.metrics.answered(name, r.Method, status, took, w.bytes)
	level := slog.LevelDebug
	switch {
	case status >= 500 && status != http.StatusServiceUnavailable:
		level = slog.LevelError
	case r.Method != http.MethodGet && r.Method != http.MethodHead, status >= 400 && status != http.StatusNotFound:
		level = slog.LevelInfo
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	attributes := []slog.Attr{
		slog.String("request", i.id), slog.String("method", known(r.Method)), slog.String("route", name),
		slog.Int("status", status), slog.Int64("bytes", w.bytes), slog.Duration("took", took),
	}
	if i.user != "" {
		attributes = append(attributes, slog.String("user", i.user))
	}
	if i.err != nil && status >= 500 { // others quote what the client has sent: names of areas, the begin of a file
		attributes = append(attributes, slog.String("error", withoutPaths(i.err)))
	}
	s.log.LogAttrs(r.Context(), level, "request", attributes...)
}

// aborted reports whether a handler's panic asks for the connection to be closed, as net/http has it.
func aborted(fault any) bool {
	err, ok := fault.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// withoutPaths is an error's text, with the paths of files left out. It looks at each error of the tree: errors.As
// would find the first alone.
func withoutPaths(err error) string {
	text := err.Error()
	var look func(err error)
	look = func(err error) {
		if p, ok := err.(*fs.PathError); ok && len(p.Path) > 1 { //nolint:errorlint // one error of the tree at a time
			text = strings.ReplaceAll(text, p.Path, "…")
		}
		switch u := err.(type) { //nolint:errorlint // likewise
		case interface{ Unwrap() error }:
			look(u.Unwrap())
		case interface{ Unwrap() []error }:
			for _, one := range u.Unwrap() {
				look(one)
			}
		}
	}
	look(err)
	return text
}

// known is a method, of which clients may make up any.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return method
	}
	return "other"
}
