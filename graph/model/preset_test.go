package model_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/schedule"
)

// A folder's presets are read with the paper's values where they say nothing, written and read again.
func TestPresets(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, model.PurposeFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"marker": "ER", "presets": {
		"fast": {"steps-inversion": 2, "steps-translation": 2, "solver-inversion": "dpm"}}}`)
	p, err := model.ReadPurpose(dir)
	if err != nil {
		t.Fatal(err)
	}
	fast := schedule.Paper()
	fast.StepsInversion, fast.StepsTranslation, fast.SolverInversion = 2, 2, schedule.SolverDPM
	eta := cmp.Comparer(func(a, b schedule.Eta) bool { return a.String() == b.String() })
	for range 2 {
		for name, want := range map[string]schedule.Sampling{
			model.PresetPaper: schedule.Paper(), model.PresetBalanced: schedule.Balanced(), model.PresetFast: fast,
		} {
			got, err := p.Preset(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, eta); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		if err := model.WritePurpose(dir, p); err != nil {
			t.Fatal(err)
		}
		if p, err = model.ReadPurpose(dir); err != nil || p.Marker != "ER" {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	for name, want := range map[string]string{
		"fast": "balanced takes 20 U-Net calls", "slow": "want paper, balanced or fast",
	} {
		if _, err := (model.Purpose{}).Preset(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for text, want := range map[string]string{
		`{"presets": {"quick": {}}}`:                      `unknown field "quick"`,
		`{"presets": {"fast": {"steps": 2}}}`:             `unknown field "steps"`,
		`{"presets": {"fast": {"steps-inversion": 1}}}`:   "presets.fast.steps-inversion: 1: want 2 to 1000",
		`{"presets": {"balanced": {"solver": "dpm"}}}`:    "presets.balanced.eta: cosine_min_20: solver dpm adds no noise",
		`{"presets": {"balanced": {"solver": "heun"}}}`:   `solver "heun"`,
		`{"presets": {"balanced": {"normalize": "all"}}}`: `normalization "all"`,
	} {
		write(text)
		if _, err := model.ReadPurpose(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A preset is kept in a folder of the user's, with all else that its file says, and not in a cache.
func TestKeepBalanced(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, model.PurposeFile)
	if err := os.WriteFile(file, []byte(`{"marker": "PR", "mpp": 0.25}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := model.CanKeep(dir, dir); err != nil {
		t.Fatal(err)
	}
	s := schedule.Balanced()
	s.StepsTranslation = 7
	if err := model.KeepBalanced(dir, model.Preset(s)); err != nil {
		t.Fatal(err)
	}
	p, err := model.ReadPurpose(dir)
	own := p.Presets.Balanced
	if err != nil || p.Marker != "PR" || p.MPP != 0.25 || p.Presets.Fast != nil || own == nil ||
		own.StepsTranslation != 7 {
		t.Errorf("%+v, %v", p, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("files %v, %v", left, err)
	}

	if err := model.CanKeep("owner/name", dir); err == nil {
		t.Error("a name in a cache is accepted")
	}
	linked := t.TempDir()
	if err := os.Symlink(file, filepath.Join(linked, model.PurposeFile)); err != nil {
		t.Fatal(err)
	}
	if err := model.CanKeep(linked, linked); err == nil {
		t.Error("a folder of links is accepted")
	}
	if err := model.CanKeep(filepath.Join(dir, "none"), filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that isn't there is accepted")
	}
}
