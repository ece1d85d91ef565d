package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/histdist/histdist/internal/server/catalogue"
)

// Problem is what is wrong with a request, or went wrong, as RFC 9457 has it.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Instance  string `json:"instance"`   // path of the request
	RequestID string `json:"request_id"` // as in the log

	retry  time.Duration // after which to try again; 0: no use
	header http.Header
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// problem is an error that the client is told as it is, so without paths and names.
func problem(status int, format string, args ...any) *Problem {
	return &Problem{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// busy is a problem that time solves.
func busy(retry time.Duration, format string, args ...any) *Problem {
	p := problem(http.StatusServiceUnavailable, format, args...)
	p.retry = retry
	return p
}

// with adds a header to the answer.
func (p *Problem) with(key, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(key, value)
	return p
}

// statusGone is the status in logs of requests whose client has left.
const statusGone = 499

// asProblem is what a client is told of an error. Errors of the server's own are in the log only.
func asProblem(err error) *Problem {
	var p *Problem
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		told := *p // which may be a shared one
		return &told
	case errors.As(err, &tooLarge):
		return problem(http.StatusRequestEntityTooLarge, "the body has more than %d bytes, the limit", tooLarge.Limit)
	case errors.Is(err, catalogue.ErrFolder):
		return busy(time.Minute, "a folder of slides can't be read at the moment")
	case errors.Is(err, context.Canceled):
		return problem(statusGone, "the client has left")
	case errors.Is(err, context.DeadlineExceeded):
		return busy(time.Minute, "this takes too long at the moment")
	}
	return problem(http.StatusInternalServerError, "this is a fault of the server: its log has more on this request_id")
}

// write sends the problem.
func (p *Problem) write(w http.ResponseWriter, r *http.Request) {
	p.Type, p.Title, p.Instance, p.RequestID = "about:blank", http.StatusText(p.Status), r.URL.Path, requestID(r)
	h := w.Header()
	for _, key := range []string{"Content-Length", "ETag", "Cache-Control", "Last-Modified", "Content-Disposition"} {
		h.Del(key) // of the answer that it was to become
	}
	for key, values := range p.header {
		h[key] = values
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(max(1, p.retry.Seconds()))))
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	text, err := json.Marshal(p)
	if err != nil {
		text = []byte("{}") // it has nothing that can't be written
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(text) // a client that has left needs no answer
}

// reply sends a value as JSON.
func reply(w http.ResponseWriter, status int, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	h := w.Header()
	for key, usual := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store"} {
		if h.Get(key) == "" {
			h.Set(key, usual)
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that has left needs no answer
	return nil
}
