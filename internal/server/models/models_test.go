package models_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/server/models"
)

// folder makes a model of a few weights, which says of itself what notes do.
func folder(t *testing.T, name, notes string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	for to, from := range map[string]string{path: "tiny", filepath.Join(path, "phikon"): "tiny-phikon"} {
		if err := os.CopyFS(to, os.DirFS(golden.Path(t, from))); err != nil {
			t.Fatal(err)
		}
	}
	if notes != "" {
		if err := os.WriteFile(filepath.Join(path, "histdist.json"), []byte(notes), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

const withFast = `{"marker":"HER2","mpp":0.25,"presets":{"fast":{"steps-inversion":1,"steps-translation":2,` +
	`"solver-inversion":"dpm","solver":"dpm","eta":"zero"}}}`

func open(t *testing.T, sources ...models.Source) *models.Models {
	t.Helper()
	m, err := models.New(sources)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Models are listed in their order, with identifiers of their own that suit URLs, and what they say of themselves.
func TestList(t *testing.T) {
	plain := folder(t, "My Model (ER)", "")
	m := open(t, models.Source{Folder: plain}, models.Source{Name: "her2", Folder: folder(t, "x", withFast)},
		models.Source{Name: "HER2", Folder: plain}, models.Source{Name: "…", Folder: plain})
	type known struct {
		ID, Name, Marker string
		MPP              float64
		Default, Presets string
		Fingerprint      string
	}
	var got []known
	for _, o := range m.List() {
		var presets []string
		for _, p := range o.Presets {
			if p.Calls < 1 || p.Settings == "" {
				t.Errorf("%s, %s: %d calls, %q", o.ID, p.Name, p.Calls, p.Settings)
			}
			presets = append(presets, p.Name)
		}
		got = append(got, known{
			o.ID, o.Name, o.Marker, o.MPP, o.DefaultPreset, strings.Join(presets, " "), o.Fingerprint,
		})
	}
	want := []known{
		{"my-model-er", "My Model (ER)", "", 0.5, "balanced", "balanced paper", ""},
		{"her2", "her2", "HER2", 0.25, "fast", "fast balanced paper", ""},
		{"her2-2", "HER2", "", 0.5, "balanced", "balanced paper", ""},
		{"model", "…", "", 0.5, "balanced", "balanced paper", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A model of several markers is a model for each of them.
func TestSeveralMarkers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "two")
	if err := model.Extend(t.Context(), folder(t, "er", ""), dir, model.Extension{Classes: 3},
		model.ConvertOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := model.WritePurpose(dir, model.Purpose{Markers: []string{"ER", "HER2"}}); err != nil {
		t.Fatal(err)
	}
	m := open(t, models.Source{Folder: dir})
	var got []string
	for _, o := range m.List() {
		p, err := o.Preset("")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o.ID, o.Name, o.Marker, strings.Join(o.Sampling(p, 7).Marker, ","))
	}
	want := []string{"two-er", "two ER", "ER", "ER", "two-her2", "two HER2", "HER2", "HER2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What there isn't is said, with what there is.
func TestUnknown(t *testing.T) {
	m := open(t, models.Source{Name: "er", Folder: folder(t, "er", "")})
	if _, err := m.Find("pr"); !errors.Is(err, models.ErrUnknown) {
		t.Errorf("a model: %v", err)
	}
	er, err := m.Find("er")
	if err != nil {
		t.Fatal(err)
	}
	_, err = er.Preset("fast")
	if !errors.Is(err, models.ErrUnknown) || !strings.Contains(err.Error(), "balanced, paper") {
		t.Errorf("a preset: %v", err)
	}
	if p, err := er.Preset(""); err != nil || p.Name != "balanced" || er.Sampling(p, 7).Seed != 7 {
		t.Errorf("the default preset: %+v, %v", p, err)
	}
	if _, err := m.Plan("pr", ""); !errors.Is(err, models.ErrUnknown) {
		t.Errorf("a plan: %v", err)
	}
	if _, err := m.Worker(infer.Options{}).Pipeline("er", "fast"); !errors.Is(err, models.ErrUnknown) {
		t.Errorf("a pipeline: %v", err)
	}
}

// A model that is incomplete is an error at the start, which names it.
func TestIncomplete(t *testing.T) {
	broken := folder(t, "broken", "")
	if err := os.Remove(filepath.Join(broken, "unet", "config.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := models.New([]models.Source{{Folder: broken}}); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("the error is %v", err)
	}
}

// Texts for users have identifiers in place of folders.
func TestScrub(t *testing.T) {
	path := folder(t, "er", "")
	m := open(t, models.Source{Name: "ER", Folder: path})
	if text := m.Scrub(path + "/unet: broken"); text != "model er/unet: broken" {
		t.Error(text)
	}
}

// A worker keeps the pipeline that it has used last, and notes the fingerprint of what it has used.
func TestWorker(t *testing.T) {
	m := open(t, models.Source{Name: "er", Folder: folder(t, "er", "")},
		models.Source{Name: "her2", Folder: folder(t, "her2", withFast)})
	device, err := catalog.Open("auto", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	w := m.Worker(infer.Options{Device: device})
	pipeline := func(id, preset string) *infer.Pipeline {
		t.Helper()
		p, err := w.Pipeline(id, preset)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := pipeline("er", "balanced")
	if again := pipeline("er", "paper"); again != first { // the same networks
		t.Error("another pipeline for another preset of the same U-Net")
	}
	if other := pipeline("her2", ""); other.Marker() != "HER2" {
		t.Errorf("the pipeline is that for %s", other.Marker())
	}
	if _, err := w.Pipeline("pr", ""); !errors.Is(err, models.ErrUnknown) {
		t.Errorf("an unknown one: %v", err)
	}
	for range 2 { // once is enough
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, o := range m.List() {
		if o.Fingerprint == "" {
			t.Errorf("%s has no fingerprint", o.ID)
		}
	}
	p, err := m.Plan("her2", "fast")
	if err != nil {
		t.Fatal(err)
	}
	if p.Marker() != "HER2" {
		t.Errorf("the plan's pipeline is that for %s", p.Marker())
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
