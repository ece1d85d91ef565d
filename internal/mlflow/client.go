package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// client calls MLflow's REST API, version 2.0.
type client struct {
	base   string
	header http.Header
	http   http.Client
}

// requestTimeout is that of MLflow's own client.
const requestTimeout = 120 * time.Second

// newClient checks a server's address. Credentials come from the environment, as for MLflow's client.
func newClient(server string, env func(string) string) (*client, error) {
	if err := CheckURL(server); err != nil {
		return nil, err
	}
	c := &client{base: strings.TrimRight(server, "/") + "/api/2.0/", header: http.Header{}}
	c.http.Timeout = requestTimeout
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		c.http.Transport = t.Clone() // whose connections are closed with the run
	}
	r := http.Request{Header: c.header}
	user, password, token := env("MLFLOW_TRACKING_USERNAME"), env("MLFLOW_TRACKING_PASSWORD"), env("MLFLOW_TRACKING_TOKEN")
	switch {
	case user != "" && password != "":
		r.SetBasicAuth(user, password)
	case token != "":
		c.header.Set("Authorization", "Bearer "+token)
	}
	return c, nil
}

// CheckURL refuses what is no address of an MLflow server.
func CheckURL(server string) error {
	u, err := url.Parse(server)
	switch {
	case err != nil:
		return fmt.Errorf("%q is no address: want one such as http://localhost:5000", server)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q is no address of a server: want one such as http://localhost:5000", server)
	case u.User != nil:
		return errors.New("an address with a password would be recorded: want it without, and MLFLOW_TRACKING_USERNAME " +
			"and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, in the environment")
	}
	return nil
}

// serverError is an answer other than 200.
type serverError struct {
	status  int
	Code    string `json:"error_code"`
	Message string `json:"message"`
}

func (e *serverError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the server answers %d %s", e.status, http.StatusText(e.status))
	}
	return fmt.Sprintf("the server answers %d: %s", e.status, e.Message)
}

const (
	codeMissing = "RESOURCE_DOES_NOT_EXIST"
	codeExists  = "RESOURCE_ALREADY_EXISTS"
)

func hasCode(err error, code string) bool {
	var e *serverError
	return errors.As(err, &e) && e.Code == code
}

// passes reports whether an error may be gone when the request is made again.
func passes(err error) bool {
	var e *serverError
	if !errors.As(err, &e) {
		return true // no connection
	}
	return e.status >= 500 || e.status == http.StatusTooManyRequests || e.status == http.StatusRequestTimeout
}

// refused reports whether the server doesn't let this user in.
func refused(err error) bool {
	var e *serverError
	return errors.As(err, &e) && (e.status == http.StatusUnauthorized || e.status == http.StatusForbidden)
}

// call posts a message and reads the answer.
func (c *client) call(ctx context.Context, method string, message, answer any) error {
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, "mlflow/"+method, "application/json", body, answer)
}

// get asks for something.
func (c *client) get(ctx context.Context, method string, query url.Values, answer any) error {
	return c.do(ctx, http.MethodGet, "mlflow/"+method+"?"+query.Encode(), "", nil, answer)
}

func (c *client) do(ctx context.Context, method, where, kind string, body []byte, answer any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.base+where, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = c.header.Clone()
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	const largest = 1 << 20
	text, err := io.ReadAll(io.LimitReader(response.Body, largest))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		e := &serverError{status: response.StatusCode}
		if json.Unmarshal(text, e) != nil {
			e.Code, e.Message = "", ""
		}
		return e
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s is no MLflow server: %w", c.base, err)
	}
	return nil
}

// experiment returns the identifier of the experiment of a name, which is made if there is none.
func (c *client) experiment(ctx context.Context, name string) (string, error) {
	var found struct {
		Experiment struct {
			ID    string `json:"experiment_id"`
			Stage string `json:"lifecycle_stage"`
		} `json:"experiment"`
	}
	err := c.get(ctx, "experiments/get-by-name", url.Values{"experiment_name": {name}}, &found)
	if hasCode(err, codeMissing) {
		var made struct {
			ID string `json:"experiment_id"`
		}
		err = c.call(ctx, "experiments/create", map[string]string{"name": name}, &made)
		if err == nil {
			return made.ID, nil
		}
		if hasCode(err, codeExists) { // made by another run at the same time
			err = c.get(ctx, "experiments/get-by-name", url.Values{"experiment_name": {name}}, &found)
		}
	}
	if err == nil && found.Experiment.Stage == stageDeleted {
		err = &serverError{http.StatusGone, "", fmt.Sprintf("the experiment %q is deleted: restore it, or name another in "+
			"MLFLOW_EXPERIMENT_NAME", name)}
	}
	return found.Experiment.ID, err
}

const stageDeleted = "deleted"

// runInfo is what the server says of a run.
type runInfo struct {
	ID           string `json:"run_id"`
	Experiment   string `json:"experiment_id"`
	ArtifactRoot string `json:"artifact_uri"`
	Stage        string `json:"lifecycle_stage"`
}

type runAnswer struct {
	Run struct {
		Info runInfo `json:"info"`
	} `json:"run"`
}

// upload puts a file among a run's artifacts, through the server.
func (c *client) upload(ctx context.Context, run runInfo, name, kind string, content []byte) error {
	root, err := url.Parse(run.ArtifactRoot)
	if err != nil || root.Scheme != "mlflow-artifacts" {
		return &serverError{http.StatusNotImplemented, "", fmt.Sprintf("artifacts are kept at %s, not by the server: want "+
			"one that was started with --serve-artifacts", run.ArtifactRoot)}
	}
	where := url.URL{Path: path.Join("mlflow-artifacts/artifacts", root.Path, name)}
	return c.do(ctx, http.MethodPut, where.EscapedPath(), kind, content, nil)
}
