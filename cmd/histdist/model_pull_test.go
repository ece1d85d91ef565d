package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/hubtest"
)

// pullServer is a server with a small model and Phikon, which the environment names.
func pullServer(t *testing.T) *hubtest.Server {
	t.Helper()
	models := map[string]map[string][]byte{}
	for id, name := range map[string]string{"org/tiny": "tiny", model.DefaultPhikon: "tiny-phikon"} {
		models[id] = map[string][]byte{}
		root := os.DirFS(golden.Path(t, name))
		err := fs.WalkDir(root, ".", func(path string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				models[id][path], err = fs.ReadFile(root, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s := hubtest.New(t, models)
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	t.Setenv("HF_HUB_OFFLINE", "")
	return s
}

// A model is downloaded if that is asked for, and never otherwise; its folder is printed.
func TestModelPull(t *testing.T) {
	s := pullServer(t)
	histdist := func(args ...string) (code int, out, said string) {
		var stdout, stderr strings.Builder
		code = run(t.Context(), args, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	he := filepath.Join(t.TempDir(), "he.png")
	if err := imagefile.Write(he, imagefile.New(16, 16), imagefile.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"model", "inspect", "org/tiny"},
		{"translate", "--model", "org/tiny", "--input", he, "--output", he + "-er.png"},
	} {
		code, _, said := histdist(args...)
		if code != exitFailed || !strings.Contains(said, "histdist model pull org/tiny") || len(s.Requests(false)) > 0 {
			t.Errorf("%v: exit code %d, %d requests: %s", args, code, len(s.Requests(false)), said)
		}
	}
	// What is wrong with the rest of a command is found first.
	if code, _, said := histdist("translate", "--model", "org/tiny", "--pull", "--input", he); code != exitFailed ||
		!strings.Contains(said, "--output") || len(s.Requests(false)) > 0 {
		t.Errorf("exit code %d, %d requests: %s", code, len(s.Requests(false)), said)
	}
	code, out, said := histdist("model", "pull", "org/tiny")
	folder := strings.TrimSpace(out)
	if code != exitOK || filepath.Base(folder) != hubtest.Commit || !strings.Contains(said, "org/tiny: ") ||
		!strings.Contains(said, "note: a translation also needs the vision transformer: histdist model pull owkin/phikon") {
		t.Fatalf("exit code %d: %s%s", code, out, said)
	}
	if code, out, said := histdist("model", "inspect", "org/tiny", "--pull"); code != exitOK ||
		!strings.Contains(said, "owkin/phikon: ") || strings.Contains(said, "org/tiny: ") || !strings.HasPrefix(out, folder) {
		t.Errorf("exit code %d: %s%s", code, out, said)
	}
	before := len(s.Requests(false))
	if code, _, said := histdist("model", "inspect", "org/tiny", "--pull"); code != exitOK || said != "" {
		t.Errorf("exit code %d: %s", code, said)
	}
	if code, _, said := histdist("model", "inspect", "demo", "--pull"); code != exitOK || said != "" {
		t.Errorf("the model in the binary: exit code %d: %s", code, said)
	}
	if now := len(s.Requests(false)); now != before {
		t.Errorf("%d requests for what is there", now-before)
	}
}
