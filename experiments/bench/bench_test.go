package bench_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/experiments/bench"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

func TestNetwork(t *testing.T) {
	o := bench.Options{Device: networktest.Open(t, "auto"), Only: []string{"vit"}, Runs: 1}
	if o.Device.Name() == "ref" {
		t.Skip("takes minutes in plain Go")
	}
	got := run(t, o)
	if len(got) != 1 || got[0].Name != "vit" || got[0].Batch != 1 || got[0].Arena == 0 ||
		!(got[0].Seconds > 0 && got[0].GFLOPS > 0 && got[0].Share > 0) {
		t.Errorf("got %+v", got)
	}
}

func TestPipeline(t *testing.T) {
	like, folder := t.TempDir(), t.TempDir()+"/tiny"
	if err := errors.Join(os.CopyFS(like, os.DirFS(golden.Path(t, "tiny"))),
		os.CopyFS(filepath.Join(like, "phikon"), os.DirFS(golden.Path(t, "tiny-phikon")))); err != nil {
		t.Fatal(err)
	}
	if err := model.Create(t.Context(), like, folder, model.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// PyTorch's times are two modes of one thing and something else.
	python := filepath.Join(t.TempDir(), "python")
	const rows = `{"name":"training","seconds":3} {"name":"training","seconds":2} {"name":"vit","seconds":1}`
	if err := os.WriteFile(python, fmt.Appendf(nil, "#!/bin/sh\necho '%s'\n", rows), 0o755); err != nil {
		t.Fatal(err)
	}
	o := bench.Options{Device: networktest.Open(t, "auto"), Model: folder, Batch: 2, Size: 64, Steps: 2, Runs: 1}
	o.Torch = python
	var names []string
	for _, r := range run(t, o) {
		names = append(names, r.Name)
		if !(r.Seconds > 0 && r.Compile > 0) || r.Arena <= 0 || r.Batch < 1 || r.PeakRSS == 0 {
			t.Errorf("got %+v", r)
		}
		if want := map[string]float64{"training": 2}[r.Name]; r.Torch != want {
			t.Errorf("%s: %v seconds in PyTorch, want %v", r.Name, r.Torch, want)
		}
	}
	if d := cmp.Diff([]string{"translation", "training", "training-sparing"}, names); d != "" {
		t.Error(d)
	}
}

func run(t *testing.T, o bench.Options) (got []bench.Result) {
	t.Helper()
	add := progress.On(func(r bench.Result) error { got = append(got, r); return nil })
	if err := bench.Run(t.Context(), o, add); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhatCannotBeTimed(t *testing.T) {
	for name, o := range map[string]bench.Options{
		"an unknown name":           {Only: []string{"gan"}},
		"a training step, no model": {Only: []string{"training"}},
	} {
		if err := bench.Run(t.Context(), o, nil); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
	if !slices.Contains(bench.Names(), "vae-decode-kernels") {
		t.Errorf("%v", bench.Names())
	}
}
