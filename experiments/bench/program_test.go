package bench

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/internal/networktest"
)

// TestTrainingStep runs a training step of a small network in the process's memory and outside of it.
func TestTrainingStep(t *testing.T) {
	test := func(t *testing.T, d device.Device) {
		s := op.NewScope("net")
		out := op.Linear{}.Apply(s, s.Input("x", 3, 8), s.Param("weight", 8, 8), s.Param("bias", 8), nil)
		p := program{Scope: s, outputs: gorgonia.Nodes{out}}
		if err := p.train(); err != nil {
			t.Fatal(err)
		}
		r, err := p.time(t.Context(), Options{Device: d, Runs: 2})
		if err != nil || r.Arena == 0 || !r.Training {
			t.Errorf("%+v, %v", r, err)
		}
	}
	networktest.EachDevice(t, test)
	t.Run("walled", func(t *testing.T) { test(t, networktest.Open(t, networktest.Walled())) })
}

// TestLayers builds each layer of the networks, and runs the smallest.
func TestLayers(t *testing.T) {
	d := networktest.Open(t, "auto")
	for _, name := range kernels {
		programs, err := layerPrograms(strings.TrimSuffix(name, "-kernels"), true)
		if err != nil || len(programs) < 20 {
			t.Fatalf("%s: %d layers, %v", name, len(programs), err)
		}
		for _, p := range programs {
			if !strings.HasPrefix(p.name, "silu 1280") {
				continue
			}
			if r, err := p.time(t.Context(), Options{Device: d}); err != nil || r.Count == 0 || !(r.Seconds > 0) {
				t.Errorf("%s: %+v, %v", p.name, r, err)
			}
		}
	}
}

func TestSums(t *testing.T) {
	got := sums([]Result{
		{Name: "conv 1", Count: 2, Seconds: 1, GFLOPS: 3, Torch: 4},
		{Name: "conv 2", Count: 1, Seconds: 2, GFLOPS: 6, Torch: 5},
		{Name: "ln 1", Count: 3, Seconds: 2, Torch: 1},
		{Name: "ln 1 + backward", Count: 3, Seconds: 4, Training: true},
	})
	want := []Result{
		{Name: "sum of conv", Count: 3, Batch: 1, Seconds: 4, GFLOPS: 4.5, Torch: 13},
		{Name: "sum of all", Count: 6, Batch: 1, Seconds: 10, GFLOPS: 1.8, Torch: 16},
		{Name: "sum of ln", Count: 3, Batch: 1, Seconds: 6, Torch: 3},
		{Name: "sum of ln + backward", Count: 3, Batch: 1, Seconds: 12, Training: true},
		{Name: "sum of all + backward", Count: 3, Batch: 1, Seconds: 12, Training: true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
