package experiments_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/train"
)

// A run and its continuation reach one run of an MLflow server, with the configuration, numbers and panels.
func TestMLflow(t *testing.T) {
	var lock sync.Mutex
	requests := map[string][]string{} // bodies by paths
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		lock.Lock()
		defer lock.Unlock()
		path := strings.TrimPrefix(r.URL.Path, "/api/2.0/")
		requests[path] = append(requests[path], string(body))
		fmt.Fprint(w, `{"experiment": {"experiment_id": "1"}, "run": {"info": {"run_id": "r",
			"artifact_uri": "mlflow-artifacts:/1/r/artifacts"}}}`)
	}))
	defer server.Close()
	folder := t.TempDir()
	set := []string{"run.mlflow=" + server.URL, "train.steps=2", "train.validate-every=2", "train.max-skipped=3"}
	if _, err := open(t, folder, set...).Run(t.Context(), experiments.Launch{Version: "1"}); err != nil {
		t.Fatal(err)
	}
	set[1] = "train.steps=4"
	if _, err := open(t, folder, set...).Run(t.Context(), experiments.Launch{
		Version: "1", Resume: train.Resume{Allowed: true, AcceptChanges: true},
	}); err != nil {
		t.Fatal(err)
	}
	if n := len(requests["mlflow/runs/create"]); n != 1 {
		t.Errorf("%d runs were made, want one that is continued", n)
	}
	logged := strings.Join(requests["mlflow/runs/log-batch"], "\n")
	for _, want := range []string{
		`{"key":"train.max-skipped","value":"3"}`, `"key":"train/loss"`, `"key":"validation/`, `"step":4`,
	} {
		if !strings.Contains(logged, want) {
			t.Errorf("nothing with %s was logged", want)
		}
	}
	panels := 0
	for path, bodies := range requests {
		const root = "mlflow-artifacts/artifacts/1/r/artifacts/validation/"
		if strings.HasPrefix(path, root) && strings.HasSuffix(path, ".png") {
			panels += len(bodies)
		}
	}
	if panels == 0 {
		t.Error("no panel arrived")
	}
	updates := strings.Join(requests["mlflow/runs/update"], " ")
	if strings.Count(updates, "FINISHED") != 2 || strings.Count(updates, "RUNNING") != 1 {
		t.Errorf("updates %s", updates)
	}
	if _, err := os.Stat(filepath.Join(folder, "mlflow.json")); err != nil {
		t.Error(err)
	}
}
