package model_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
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
		"fast": {"unet": "unet-fast", "steps-inversion": 0, "steps-translation": 1, "solver": "consistency"}}}`)
	p, err := model.ReadPurpose(dir)
	if err != nil {
		t.Fatal(err)
	}
	fast := schedule.Paper()
	fast.StepsInversion, fast.StepsTranslation, fast.Solver = 0, 1, schedule.SolverConsistency
	eta := cmp.Comparer(func(a, b schedule.Eta) bool { return a.String() == b.String() })
	for range 2 {
		for name, want := range map[string]model.Preset{
			model.PresetPaper: {Sampling: schedule.Paper()}, model.PresetBalanced: {Sampling: schedule.Balanced()},
			model.PresetFast: {Sampling: fast, UNet: "unet-fast"},
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
		`{"presets": {"fast": {"steps-translation": 0}}}`: "presets.fast.steps-translation: 0: want 1 to 1000",
		`{"presets": {"fast": {"unet": "../unet"}}}`:      `presets.fast.unet: "../unet": want the name of a folder`,
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
	if err := model.KeepBalanced(dir, model.Preset{Sampling: s}); err != nil {
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

// A preset's own U-Net takes the other's place in the folder: it alone is opened, and told apart by the fingerprint.
func TestPresetsUNet(t *testing.T) {
	dir, phikon := copyOf(t, golden.Path(t, "tiny")), golden.Path(t, "tiny-phikon")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	purpose := `{"presets": {"fast": {"unet": "unet-fast", "steps-inversion": 0, "steps-translation": 1}}}`
	check(os.WriteFile(filepath.Join(dir, model.PurposeFile), []byte(purpose), 0o644))
	fast := model.Options{Phikon: phikon, UNet: "unet-fast"}
	fingerprint := func(o model.Options) string {
		t.Helper()
		m, err := model.Open(dir, o)
		check(err)
		id, err := m.Fingerprint()
		check(errors.Join(err, m.Close()))
		return id
	}
	problems := func() string {
		t.Helper()
		r, err := model.Inspect(dir, model.Options{Phikon: phikon})
		check(err)
		said := slices.Clone(r.Problems)
		for _, n := range r.Networks {
			said = append(said, n.Error, strings.Join(n.Missing, " "))
		}
		return strings.Join(said, "")
	}

	_, err := model.Open(dir, fast)
	for _, err := range []string{fmt.Sprint(err), problems()} {
		if !strings.Contains(err, "histdist.json: presets.fast.unet: there is no folder unet-fast in "+dir) {
			t.Errorf("without the folder: %s", err)
		}
	}
	_, err = model.Open(dir, model.Options{Phikon: phikon, UNet: "unet-other"})
	if err == nil || !strings.Contains(err.Error(), "there is no folder unet-other") {
		t.Errorf("another folder: %v", err)
	}

	// A U-Net with other weights, and then without the usual one next to it.
	check(os.CopyFS(filepath.Join(dir, "unet-fast"), os.DirFS(filepath.Join(dir, "unet"))))
	path := filepath.Join(dir, "unet-fast", "diffusion_pytorch_model.safetensors")
	text, err := os.ReadFile(path)
	check(err)
	text[len(text)-4] ^= 1
	check(os.WriteFile(path, text, 0o644))
	if said := problems(); said != "" {
		t.Errorf("inspect: %s", said)
	}
	r, err := model.Inspect(dir, model.Options{Phikon: phikon})
	check(err)
	var names []string
	for _, n := range r.Networks {
		names = append(names, n.Name)
	}
	if diff := cmp.Diff([]string{"unet", "vae", "text_encoder", "phikon", "unet-fast"}, names); diff != "" {
		t.Errorf("networks of the report: %s", diff)
	}
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "no inversion; translation 1 × ddim") ||
		!strings.Contains(notes, "U-Net unet-fast") {
		t.Errorf("notes %s", notes)
	}
	if a, b := fingerprint(model.Options{Phikon: phikon}), fingerprint(fast); a == b {
		t.Errorf("fingerprint %s of both U-Nets", a)
	}
	m, err := model.Open(dir, fast)
	check(err)
	check(m.Close())
	if !slices.Contains(m.Notes, "U-Net unet-fast") {
		t.Errorf("notes %v don't say which U-Net it is", m.Notes)
	}
	converted := filepath.Join(t.TempDir(), "converted")
	check(model.Convert(t.Context(), dir, converted, model.ConvertOptions{DType: weights.Float32}))
	if _, err := os.Stat(filepath.Join(converted, "unet-fast", "config.json")); err != nil {
		t.Errorf("converted: %v", err)
	}
	want := fingerprint(fast)
	check(os.Remove(filepath.Join(dir, "unet", "diffusion_pytorch_model.safetensors")))
	if got := fingerprint(fast); got != want {
		t.Errorf("without the usual U-Net's weights: %s, want %s", got, want)
	}
}
