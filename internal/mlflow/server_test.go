package mlflow_test

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/histdist/histdist/internal/mlflow"
)

// A real server takes what a Run sends, and has it. It runs where the command mlflow is installed.
func TestRealServer(t *testing.T) {
	program, err := exec.LookPath("mlflow")
	if err != nil {
		t.Skip("no command mlflow: pip install mlflow in an environment, and put its bin into PATH")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, "server", "--host", "127.0.0.1", "--port", port, "--workers", "1",
		"--backend-store-uri", "sqlite:///"+filepath.Join(dir, "mlflow.db"), "--artifacts-destination",
		filepath.Join(dir, "artifacts"))
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}()
	o := options(t, "http://"+address)
	o.Linger, o.Pause = 10*time.Minute, 200*time.Millisecond // the server takes some seconds to start
	for i := range 2 {
		o.Continue = i > 0
		r := start(t, o)
		r.Log(many(1500))
		r.Upload("validation/a b/step-000010.png", "image/png", []byte("pixels"))
		if err := r.Close(mlflow.Finished); err != nil {
			t.Fatal(err)
		}
	}
	var found struct {
		Runs []struct {
			Info struct {
				ID     string `json:"run_id"`
				Name   string `json:"run_name"`
				Status string `json:"status"`
			} `json:"info"`
			Data struct {
				Metrics []mlflow.Metric `json:"metrics"`
				Params  []pair          `json:"params"`
			} `json:"data"`
		} `json:"runs"`
	}
	ask(t, http.MethodPost, o.Server+"/api/2.0/mlflow/runs/search", `{"experiment_ids": ["1"]}`, &found)
	if len(found.Runs) != 1 {
		t.Fatalf("%d runs", len(found.Runs))
	}
	run := found.Runs[0]
	if run.Info.Name != "er" || run.Info.Status != "FINISHED" || len(run.Data.Params) != 1 ||
		len(run.Data.Metrics) != 1 || run.Data.Metrics[0].Step != 1499 {
		t.Errorf("%+v", run)
	}
	var history struct {
		Metrics []mlflow.Metric `json:"metrics"`
	}
	query := url.Values{"run_id": {run.Info.ID}, "metric_key": {"train/loss"}, "max_results": {"5000"}}
	ask(t, http.MethodGet, o.Server+"/api/2.0/mlflow/metrics/get-history?"+query.Encode(), "", &history)
	if n := len(history.Metrics); n < 1500 {
		t.Errorf("%d numbers of a metric", n)
	}
	var files struct {
		Files []struct{ Path string } `json:"files"`
	}
	query = url.Values{"run_id": {run.Info.ID}, "path": {"validation/a b"}}
	ask(t, http.MethodGet, o.Server+"/api/2.0/mlflow/artifacts/list?"+query.Encode(), "", &files)
	if len(files.Files) != 1 || files.Files[0].Path != "validation/a b/step-000010.png" {
		t.Errorf("files %+v", files)
	}
}

// ask makes a request of the API and reads the answer.
func ask(t *testing.T, method, address, body string, answer any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", address, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
}
