package bench_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/experiments/bench"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/modelbench"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

func TestRun(t *testing.T) {
	like, folder := t.TempDir(), t.TempDir()+"/tiny"
	if err := errors.Join(os.CopyFS(like, os.DirFS(golden.Path(t, "tiny"))),
		os.CopyFS(filepath.Join(like, "phikon"), os.DirFS(golden.Path(t, "tiny-phikon")))); err != nil {
		t.Fatal(err)
	}
	if err := model.Create(t.Context(), like, folder, model.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var names []string
	o := bench.Options{Device: networktest.Open(t, "auto"), Model: folder, Batch: 2, Size: 64, Steps: 2, Runs: 1}
	err := bench.Run(t.Context(), o, bench.Names(), func(r modelbench.Result) {
		names = append(names, r.Name)
		if !(r.Seconds > 0 && r.Compile > 0) || r.Arena <= 0 || r.Batch < 1 {
			t.Errorf("got %+v", r)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(bench.Names(), names); d != "" {
		t.Error(d)
	}
	if err := bench.Run(t.Context(), o, []string{"gan"}, nil); err == nil {
		t.Error("an unknown name is no error")
	}
}
