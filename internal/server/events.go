package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/histdist/histdist/internal/server/queue"
)

// jobEvents sends a job whenever it has changed, until it has ended: server-sent events (HTML, section 9.2). A client
// that reads slowly misses states in between, and one that doesn't read at all is left when a write takes too long.
func (s *Server) jobEvents(w http.ResponseWriter, r *http.Request) error {
	job, err := s.ownJob(r)
	if err != nil {
		return err
	}
	watch := s.jobs.queue.Watch(job.ID)
	defer watch.Close()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies send on what they get
	out := &events{w: w, control: http.NewResponseController(w)}
	beat := time.NewTicker(s.jobs.beat)
	defer beat.Stop()
	for {
		job, err := s.jobs.queue.Get(r.Context(), job.ID)
		if errors.Is(err, queue.ErrNotFound) { // it was deleted, so it had ended
			return nil
		}
		if err != nil {
			return err
		}
		a, err := s.answer(job)
		if err != nil {
			return err
		}
		if out.send(a) != nil || job.State.Ended() {
			return nil // to a client that has left there is nothing to say
		}
		if !s.rest(r.Context()) {
			return nil
		}
		for waiting := true; waiting; {
			select {
			case <-watch.Changed():
				waiting = false
			case <-beat.C:
				if out.comment("still there") != nil {
					return nil
				}
			case <-r.Context().Done():
				return nil
			case <-s.ending:
				return nil
			}
		}
	}
}

// rest waits between two events, and reports whether the stream goes on.
func (s *Server) rest(ctx context.Context) bool {
	t := time.NewTimer(s.jobs.pace)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-s.ending:
	}
	return false
}

// events writes a stream of events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sent    int
}

// send sends a job.
func (e *events) send(a jobAnswer) error {
	text, err := json.Marshal(a) // has no line breaks
	if err != nil {
		return err
	}
	e.sent++
	return e.write(fmt.Sprintf("id: %d\nevent: job\ndata: %s\n\n", e.sent, text))
}

// comment sends what clients ignore.
func (e *events) comment(text string) error { return e.write(": " + text + "\n\n") }

func (e *events) write(text string) error {
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.control.Flush()
}
