package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// tries is how often in a row a request may fail without a byte of progress.
	tries = 5
	// longestWait is the longest time that a server may ask to wait for.
	longestWait = 5 * time.Minute
	// stalled is how long a server may send nothing.
	stalled = 30 * time.Second
	// maxRedirects is Go's own limit.
	maxRedirects = 10
)

// newTransport speaks HTTP/1.1, in which each part of a file has a connection of its own: HTTP/2 would send all parts
// through one, as fast as one.
func newTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, Protocols: protocols, DialContext: (&net.Dialer{Timeout: stalled}).DialContext,
		TLSHandshakeTimeout: stalled, ResponseHeaderTimeout: stalled, IdleConnTimeout: 3 * stalled,
		MaxIdleConnsPerHost: connections,
	}
}

// redirect sends the token to the endpoint and to Hugging Face's own servers, and to no other.
func (c *Client) redirect(r *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	r.Header.Del("Authorization")
	if c.Token != "" && c.trusts(r.URL) {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	return nil
}

// trusts reports whether a server may see the token.
func (c *Client) trusts(u *url.URL) bool {
	for _, known := range []string{c.Endpoint, DefaultEndpoint, "https://hf.co"} {
		if k, err := url.Parse(known); err == nil && origin(k) == origin(u) {
			return true
		}
	}
	return false
}

// origin is the scheme, the host and the port of an address.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = u.Scheme
	}
	switch port {
	case "http":
		port = "80"
	case "https":
		port = "443"
	}
	return strings.ToLower(u.Scheme + "://" + u.Hostname() + ":" + port)
}

// get asks for an address of the endpoint, below it; bytes is a range such as "0-99", or "" for everything. An answer
// other than a success is an error: see statusError.
func (c *Client) get(ctx context.Context, below, bytes string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Endpoint+below, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "histdist")
	r.Header.Set("Accept-Encoding", "identity") // ranges and sizes are those of the file
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if bytes != "" {
		r.Header.Set("Range", "bytes="+bytes)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	c.reached.Store(true)
	if answer.StatusCode == http.StatusOK || answer.StatusCode == http.StatusPartialContent {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, newStatusError(answer)
}

// temporaryError may be gone at the next try.
type temporaryError struct {
	error
	after time.Duration // that the server asks to wait
}

func (e *temporaryError) Unwrap() error { return e.error }

// unreachable explains why there is no answer. Once there was one, the same may come back.
func (c *Client) unreachable(ctx context.Context, err error) error {
	var certificate *tls.CertificateVerificationError
	var dial *net.OpError
	var e *url.Error
	if errors.As(err, &e) { // which names an address that may have a signature
		err = e.Err
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &certificate):
		return fmt.Errorf("%s: %w: a proxy that opens connections needs its certificate in the system's, or in "+
			"SSL_CERT_FILE", c.Endpoint, err)
	case errors.As(err, &dial) && slices.Contains([]string{"dial", "proxyconnect"}, dial.Op) && !c.reached.Load():
		return fmt.Errorf("%s can't be reached: %w: HTTPS_PROXY names a proxy and HF_ENDPOINT another server; without a "+
			"network, copy the model into Hugging Face's cache (HF_HOME)", c.Endpoint, err)
	}
	return &temporaryError{error: fmt.Errorf("%s: %w", c.Endpoint, err)}
}

// retry calls try until it succeeds, fails for good, or fails several times in a row without progress.
func (c *Client) retry(ctx context.Context, try func() (moved bool, err error)) error {
	for failures := 0; ; {
		moved, err := try()
		var again *temporaryError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.As(err, &again):
			return err
		case again.after > longestWait:
			return fmt.Errorf("%w: the server asks to wait for %v", err, again.after.Round(time.Second))
		case moved:
			failures = 0
		}
		if failures++; failures == tries {
			return fmt.Errorf("%w (after %d tries): run the command again to go on", err, tries)
		}
		delay := time.Second << (failures - 1)
		delay += rand.N(delay / 2)
		if err := c.wait(ctx, max(delay, again.after)); err != nil {
			return err
		}
	}
}

// retryAfter reads the header Retry-After: seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 1<<30)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// temporaryStatus are the answers that another try may change.
func temporaryStatus(status int) bool {
	return slices.Contains([]int{
		http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	}, status)
}

// watched is an answer's body that ends with an error if nothing comes for a while.
type watched struct {
	io.ReadCloser
	timer *time.Timer
}

// watch returns a body whose reads are ended by cancel, the cancellation of its request.
func watch(body io.ReadCloser, cancel func()) *watched {
	return &watched{body, time.AfterFunc(stalled, cancel)}
}

func (w *watched) Read(b []byte) (int, error) {
	w.timer.Reset(stalled)
	n, err := w.ReadCloser.Read(b)
	if inTime := w.timer.Stop(); !inTime && err != nil {
		err = fmt.Errorf("nothing came for %v: %w", stalled, err)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}
