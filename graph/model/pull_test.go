package model_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/model/hub"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/hubtest"
)

// files are the contents of a folder, by their paths.
func files(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	list := map[string][]byte{}
	root := os.DirFS(folder)
	err := fs.WalkDir(root, ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			list[path], err = fs.ReadFile(root, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// huggingFace is a server with a pipeline that has a safety checker, and Phikon. The environment names it and a cache.
func huggingFace(t *testing.T) *hubtest.Server {
	t.Helper()
	tiny := files(t, golden.Path(t, "tiny"))
	tiny["model_index.json"] = []byte(strings.Replace(string(tiny["model_index.json"]), "{",
		`{"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],`, 1))
	tiny["safety_checker/config.json"] = []byte("{}")
	tiny["safety_checker/model.safetensors"] = []byte("large")
	s := hubtest.New(t, map[string]map[string][]byte{
		"org/tiny": tiny, model.DefaultPhikon: files(t, golden.Path(t, "tiny-phikon")),
	})
	t.Setenv("HF_ENDPOINT", s.URL)
	t.Setenv("HF_HUB_CACHE", t.TempDir())
	t.Setenv("HF_HUB_OFFLINE", "")
	t.Setenv("HF_TOKEN", "")
	return s
}

// A model that is missing is downloaded with its vision transformer, without what is of no use, and can be opened,
// inspected and converted. One that is there is used without a look at the network.
func TestPullMissing(t *testing.T) {
	s := huggingFace(t)
	for range 2 {
		if err := model.PullMissing(t.Context(), "org/tiny", model.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		for _, name := range s.Fetched() {
			if strings.Contains(name, "safety_checker") {
				t.Errorf("downloaded %s", name)
			}
		}
		m, err := model.Open("org/tiny", model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	asked := len(s.Requests(false))
	if err := model.PullMissing(t.Context(), "org/tiny", model.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	if now := len(s.Requests(false)); now != asked {
		t.Errorf("%d requests for what is there", now-asked)
	}
	if r, err := model.Inspect("org/tiny", model.Options{}); err != nil || !r.Healthy() {
		t.Errorf("%+v, %v", r.Problems, err)
	}
	dst := filepath.Join(t.TempDir(), "converted")
	if err := model.Convert(t.Context(), "org/tiny", dst, model.ConvertOptions{DType: weights.Float16}); err != nil {
		t.Fatal(err)
	}
	p, err := weights.ReadPipeline(dst)
	if diff := cmp.Diff(weights.Component{}, p.Components["safety_checker"]); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err := model.PullMissing(t.Context(), filepath.Join(dst, "vae"), model.Options{}, nil); err != nil {
		t.Errorf("a folder: %v", err)
	}
	if err := model.PullMissing(t.Context(), "/no/such/folder", model.Options{}, nil); err == nil {
		t.Error("no folder: no error")
	}
}

// A pipeline alone doesn't translate, which is said.
func TestPullNotes(t *testing.T) {
	huggingFace(t)
	var events []any
	observe := func(event any) error {
		if _, ok := event.(hub.Progress); !ok {
			events = append(events, event)
		}
		return nil
	}
	for _, name := range []string{"org/tiny@main", model.DefaultPhikon, "org/tiny"} {
		if _, err := model.Pull(t.Context(), name, model.PullOptions{Observe: observe}); err != nil {
			t.Fatal(err)
		}
	}
	if len(events) != 1 {
		t.Errorf("notes %v, want one after the first", events)
	}
	for _, name := range []string{"org/tiny@main", "a/b/c", "/tmp"} {
		if dir, err := model.Pull(t.Context(), name, model.PullOptions{Revision: "other"}); err == nil {
			t.Errorf("%s: %s", name, dir)
		}
	}
}
