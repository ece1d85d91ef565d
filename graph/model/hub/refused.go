package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Errors that a caller can tell apart.
var (
	// ErrGated is wrapped by the error of a model whose conditions have to be accepted first.
	ErrGated = errors.New("it is gated")
	// ErrNotFound is wrapped by the error of a model or a revision that isn't there, or isn't for this user.
	ErrNotFound = errors.New("not found")
	// ErrHash is wrapped by the error of a file that arrives with another content than announced.
	ErrHash = errors.New("not the announced content")
)

// statusError is an answer other than a success.
type statusError struct {
	status  int
	code    string // X-Error-Code, such as GatedRepo
	message string // what the server says
}

// longestMessage is how much of a server's message is read, in bytes.
const longestMessage = 300

// newStatusError reads an answer; it is a *temporaryError if another try may help.
func newStatusError(answer *http.Response) error {
	e := &statusError{
		status: answer.StatusCode, code: answer.Header.Get("X-Error-Code"), message: answer.Header.Get("X-Error-Message"),
	}
	if e.message == "" && strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, longestMessage)) // as much as comes
		e.message = strings.ToValidUTF8(strings.Join(strings.Fields(string(text)), " "), "")
	}
	if len(e.message) > longestMessage {
		e.message = strings.ToValidUTF8(e.message[:longestMessage], "") + "…"
	}
	if temporaryStatus(e.status) {
		return &temporaryError{e, retryAfter(answer.Header, time.Now())}
	}
	return e
}

// Error is the status and the message.
func (e *statusError) Error() string {
	text := fmt.Sprintf("the server answers %d %s", e.status, http.StatusText(e.status))
	if e.message != "" {
		text += fmt.Sprintf(" (%s)", e.message)
	}
	return text
}

// explain turns an answer to a request on a model into what a user can do about it.
func (c *Client) explain(ctx context.Context, repo *repository, err error) error {
	var e *statusError
	if !errors.As(err, &e) {
		return err
	}
	page := c.Endpoint + "/" + repo.id
	login := "set HF_TOKEN to a token from " + c.Endpoint + "/settings/tokens, or run `hf auth login`"
	switch {
	case e.code == "GatedRepo":
		if c.Token == "" {
			return fmt.Errorf("%w: accept its conditions on %s, then %s: %w", ErrGated, page, login, err)
		}
		return fmt.Errorf("%w, and your token has no access: accept its conditions on %s with the account of the token, "+
			"wait if access is granted by hand, and let a fine-grained token read gated models: %w", ErrGated, page, err)
	case e.status == http.StatusForbidden:
		return fmt.Errorf("no access with this token, or from here: see %s: %w", page, err)
	case e.code == "RevisionNotFound":
		return fmt.Errorf("revision %s %w; there are: %s", repo.revision, ErrNotFound, c.revisions(ctx, repo))
	case e.status == http.StatusUnauthorized && e.code == "" && c.Token != "":
		return fmt.Errorf("the token isn't valid: %s: %w", login, err)
	case e.status == http.StatusUnauthorized, e.code == "RepoNotFound":
		if c.Token == "" {
			return fmt.Errorf("%w on %s, or private: check the name; for a private model %s: %w", ErrNotFound, c.Endpoint, login,
				err)
		}
		return fmt.Errorf("%w on %s, or private and not for your token: check the name: %w", ErrNotFound, c.Endpoint, err)
	case e.code == "EntryNotFound":
		return fmt.Errorf("the server lists a file that it doesn't have: %w", err)
	case e.status == http.StatusNotFound:
		return fmt.Errorf("%w on %s: check the name, and HF_ENDPOINT if it is set: %w", ErrNotFound, c.Endpoint, err)
	case e.status == http.StatusProxyAuthRequired:
		return fmt.Errorf("the proxy wants a name and a password: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT: %w", err)
	}
	return err
}

// revisions lists a model's branches and tags for a message.
func (c *Client) revisions(ctx context.Context, repo *repository) string {
	var refs struct {
		Branches, Tags []struct {
			Name string `json:"name"`
		}
	}
	if _, err := c.json(ctx, "/api/models/"+repo.id+"/refs", &refs); err != nil {
		return "no list of them (" + err.Error() + ")"
	}
	var names []string
	for _, r := range append(refs.Branches, refs.Tags...) {
		names = append(names, r.Name)
	}
	return some(names)
}

// shown is how many names a message has at most.
const shown = 12

// some joins the first names of a list.
func some(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	text := strings.Join(names[:min(shown, len(names))], ", ")
	if more := len(names) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
