package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// The patience with clients.
const (
	headerTime = 10 * time.Second // for a request without its body
	idleTime   = 2 * time.Minute  // between requests
	stallTime  = 30 * time.Second // for a part of a body or an answer
	leastRate  = 16 << 10         // bytes a second of a body, on average after stallTime

	maxHeader      = 64 << 10 // bytes
	maxConnections = 1024
)

// body is a request's body that must keep coming.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	begin   time.Time
	bytes   int64
	err     error // of the last Read
}

func newBody(w http.ResponseWriter, r io.ReadCloser) *body {
	return &body{ReadCloser: r, control: http.NewResponseController(w), begin: time.Now()}
}

// Read reads on, within the time that there is for it.
func (b *body) Read(p []byte) (int, error) {
	late := b.begin.Add(stallTime + time.Duration(b.bytes/leastRate)*time.Second)
	if soon := time.Now().Add(stallTime); soon.Before(late) {
		late = soon
	}
	_ = b.control.SetReadDeadline(late) // not supported in tests without a connection
	n, err := b.ReadCloser.Read(p)
	b.bytes, b.err = b.bytes+int64(n), err
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{}) // net/http reads on, to see whether the client leaves
	}
	return n, err
}

// done is called when nothing more is read of the body: net/http reads what is left of it before it answers.
func (b *body) done() {
	if b.err == nil { // or else there is nothing left, or no time
		_ = b.control.SetReadDeadline(time.Now().Add(stallTime))
	}
}

// response is an answer that a client must keep taking. It counts what the log and the metrics say.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   int64
}

func newResponse(w http.ResponseWriter) *response {
	return &response{ResponseWriter: w, control: http.NewResponseController(w)}
}

// Unwrap is for http.ResponseController.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader sends the status.
func (r *response) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.hurry()
	r.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the answer.
func (r *response) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.hurry()
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

func (r *response) hurry() { _ = r.control.SetWriteDeadline(time.Now().Add(stallTime)) } // as in Read

// limited is a listener with at most so many connections at a time.
type limited struct {
	net.Listener
	free chan struct{}
}

func limit(l net.Listener, connections int) net.Listener {
	return &limited{l, make(chan struct{}, connections)}
}

// Accept waits until there are fewer connections than the limit.
func (l *limited) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &counted{Conn: c, release: sync.OnceFunc(func() { <-l.free })}, nil
}

type counted struct {
	net.Conn
	release func()
}

// Close closes the connection and makes room for another.
func (c *counted) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}

// turns let so many do something at a time as the channel has room for.
type turns chan struct{}

// take waits for a turn, which done ends. It is an error that ctx ends before.
func (t turns) take(ctx context.Context) (done func(), err error) {
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
