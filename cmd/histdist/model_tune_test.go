package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/internal/synth"
)

// A model that is tuned has the preset in its folder, where translate and inspect find it.
func TestTune(t *testing.T) {
	if os.Getenv("HISTDIST_FULL") == "" {
		t.Skip("minutes: HISTDIST_FULL=1 runs it")
	}
	t.Chdir(t.TempDir())
	c := synth.Default()
	c.Pairs, c.ValPairs, c.PatientPairs, c.Size = 0, 2, 1, 64
	if err := synth.Write(t.Context(), "tissue", c, nil); err != nil {
		t.Fatal(err)
	}
	if err := demo.Extract("model"); err != nil {
		t.Fatal(err)
	}
	he := filepath.Join("tissue", "TrainValAB", "valA")
	histdist := func(args ...string) (int, string) {
		var out strings.Builder
		return run(t.Context(), args, &out, &out), out.String()
	}
	if code, said := histdist("model", "tune", "model", "--he", he, "--write"); code != exitOK {
		t.Fatalf("%d: %s", code, said)
	}
	p, err := model.ReadPurpose("model")
	if err != nil || p.Presets.Balanced == nil || p.Marker != "ER" {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, said := histdist("model", "inspect", "model"); !strings.Contains(said, "preset balanced of histdist.json") {
		t.Error(said)
	}
}
