package experiments_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/synth"
	"github.com/histdist/histdist/train"
)

// setsOf makes synthetic sets of ER and HER2 and returns the keys of an experiment on them, with weights. The patients
// of HER2 begin with the given one.
func setsOf(t *testing.T, first int, weights ...float64) []string {
	t.Helper()
	dir := t.TempDir()
	var sets []string
	for i, m := range []synth.Marker{synth.ER, synth.HER2} {
		c := synth.Default()
		c.Pairs, c.ValPairs, c.Size, c.PatientPairs, c.Marker, c.FirstPatient = 4, 2, 64, 1, m, i*first
		place := filepath.Join(dir, string(m))
		if err := synth.Write(t.Context(), place, c, nil); err != nil {
			t.Fatal(err)
		}
		sets = append(sets, fmt.Sprintf("{dir: %s, marker: %s, weight: %g}", place, strings.ToUpper(string(m)), weights[i]))
	}
	return []string{"data.dir=", "model.marker=", "data.sets=[" + strings.Join(sets, ", ") + "]"}
}

// A run on several sets that is ended anywhere, without saving, goes on from its checkpoint to the bytes of one that
// was not; with other weights it is refused. Its export stains for each of the markers.
func TestRunsOnSeveralSets(t *testing.T) {
	set := setsOf(t, 0, 2, 1)
	whole, broken := t.TempDir(), t.TempDir()
	if _, err := open(t, whole, set...).Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
	died := errors.New("killed")
	for _, last := range []int{1, 3, 5} {
		_, err := open(t, broken, set...).Run(t.Context(), experiments.Launch{
			Resume: train.Resume{Allowed: true},
			Observe: progress.On(func(m train.Metrics) error {
				if m.Step == last {
					return died
				}
				return nil
			}),
		})
		if !errors.Is(err, died) {
			t.Fatalf("error %v, want %v", err, died)
		}
	}
	resume := experiments.Launch{Resume: train.Resume{Allowed: true}}
	if _, err := open(t, broken, set...).Run(t.Context(), resume); err != nil {
		t.Fatal(err)
	}
	sameWeights(t, filepath.Join(broken, "checkpoint-6"), filepath.Join(whole, "checkpoint-6"))
	others := slices.Concat(set[:2], []string{strings.Replace(set[2], "weight: 2", "weight: 3", 1)})
	_, err := open(t, broken, slices.Concat(others, []string{"train.steps=8"})...).Run(t.Context(), resume)
	if !errors.Is(err, train.ErrChanged) || !strings.Contains(err.Error(), "data.sets: ER 2 × 4 pairs") {
		t.Errorf("other weights: %v", err)
	}

	exported := filepath.Join(t.TempDir(), "model")
	if err := experiments.Export(t.Context(), exported, experiments.ExportOptions{Checkpoint: whole}); err != nil {
		t.Fatal(err)
	}
	p, err := model.ReadPurpose(exported)
	if diff := cmp.Diff([]string{"ER", "HER2"}, p.Markers); diff != "" || p.Marker != "" || err != nil {
		t.Errorf("%+v, %v", p, err)
	}
	translates(t, exported, "her2")
}

// translates makes a stain with a model.
func translates(t *testing.T, folder, marker string) {
	t.Helper()
	d, err := catalog.Open("auto", 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := infer.Open(folder, model.Options{}, infer.Options{Device: d})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(p.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	}()
	s := infer.DefaultSettings()
	s.StepsInversion, s.StepsTranslation, s.Marker = 1, 2, infer.Markers{marker}
	r := infer.Request{Images: []*imagefile.Image{imagefile.New(32, 32)}, Settings: s}
	if _, err := p.Translate(t.Context(), r); err != nil {
		t.Error(err)
	}
}

// A checkpoint names the sets with their weights.
func TestStateNamesTheSets(t *testing.T) {
	dir := t.TempDir()
	if _, err := open(t, dir, setsOf(t, 0, 1, 3)...).Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "checkpoint-6", "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var state struct{ Inputs map[string]string }
	if err := json.Unmarshal(text, &state); err != nil {
		t.Fatal(err)
	}
	if got, want := state.Inputs["data.sets"], "ER 1 × 4 pairs, HER2 3 × 4 pairs"; got != want {
		t.Errorf("inputs name %q, want %q", got, want)
	}
}

// A validation has the losses of each marker and their mean, and panels of all markers.
func TestValidationOfSeveralSets(t *testing.T) {
	var scores []train.Scalar
	dir := t.TempDir()
	e := open(t, dir, slices.Concat(setsOf(t, 0, 1, 1), []string{
		"train.validate-every=6", "validation.at-start=false", "validation.pairs=4", "validation.translations=2",
	})...)
	if _, err := e.Run(t.Context(), experiments.Launch{Observe: progress.On(func(v train.Scores) error {
		scores = v.Values
		return nil
	})}); err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, s := range scores {
		values[s.Name] = s.Value
	}
	mean := (values["validation/loss_er"] + values["validation/loss_her2"]) / 2
	if values["validation/loss_er"] == 0 || math.Abs(mean-values["validation/loss"]) > 1e-12 {
		t.Errorf("%v", values)
	}
	for _, marker := range []string{"er", "her2"} {
		panels, err := filepath.Glob(filepath.Join(dir, "validation", "step-6", "*-"+marker+".png"))
		if err != nil || len(panels) != 1 {
			t.Errorf("panels of %s: %v, %v", marker, panels, err)
		}
	}
}

// opens tries to open an experiment.
func opens(t *testing.T, set ...string) error {
	t.Helper()
	c, values := load(t, filepath.Join(t.TempDir(), "run"), set...)
	e, err := experiments.Open(t.Context(), c, values)
	if err != nil {
		return err
	}
	return e.Close()
}

func TestSetsThatAreRefused(t *testing.T) {
	shared := setsOf(t, 4, 1, 1) // the training for HER2 begins with the patients that validate ER
	err := opens(t, shared...)
	if err == nil || !strings.Contains(err.Error(), "patients or slides (2, such as P005: in the training for HER2, "+
		"in the validation for ER)") || !strings.Contains(err.Error(), "want data.validation-fraction") {
		t.Errorf("shared patients: %v", err)
	}
	if err := opens(t, slices.Concat(shared, []string{"data.validation-fraction=0.3", "data.split="})...); err != nil {
		t.Errorf("divided by patient: %v", err)
	}
	if err := opens(t, setsOf(t, 0, 1, 1e-6)...); err == nil || !strings.Contains(err.Error(), "none would be of HER2") {
		t.Errorf("a weight that is too small: %v", err)
	}
	missing := []string{"data.dir=", "model.marker=", "data.sets=[{dir: nowhere, marker: ER}]"}
	if err := opens(t, missing...); err == nil || !strings.Contains(err.Error(), "data.sets[0].dir") {
		t.Errorf("no such folder: %v", err)
	}
	good := setsOf(t, 0, 1, 1)
	for _, more := range []string{"train.adapter=lora", "train.objective=end-to-end"} {
		if err := opens(t, slices.Concat(good, []string{more})...); err == nil ||
			!strings.Contains(err.Error(), "hasn't learnt all of ER, HER2") {
			t.Errorf("%s: %v", more, err)
		}
	}
}

// A base of several markers goes on with sets of its markers, keeps its labels and takes further ones; without sets it
// is refused.
func TestBaseOfSeveralMarkers(t *testing.T) {
	set, first, base := setsOf(t, 0, 1, 1), t.TempDir(), filepath.Join(t.TempDir(), "base")
	if _, err := open(t, first, set...).Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
	if err := experiments.Export(context.Background(), base, experiments.ExportOptions{Checkpoint: first}); err != nil {
		t.Fatal(err)
	}
	if err := opens(t, "model.base="+base, "model.phikon="); err == nil ||
		!strings.Contains(err.Error(), "model.base stains for ER, HER2: want data.sets") {
		t.Errorf("one set: %v", err)
	}
	swapped := strings.Replace(set[2], "marker: ER", "marker: PR", 1) // and HER2
	output := t.TempDir()
	if _, err := open(t, output, set[0], set[1], swapped, "model.base="+base, "model.phikon=").
		Run(t.Context(), experiments.Launch{}); err != nil {
		t.Fatal(err)
	}
	exported := filepath.Join(t.TempDir(), "model")
	if err := experiments.Export(t.Context(), exported, experiments.ExportOptions{Checkpoint: output}); err != nil {
		t.Fatal(err)
	}
	p, err := model.ReadPurpose(exported)
	if diff := cmp.Diff([]string{"ER", "HER2", "PR"}, p.Markers); diff != "" || err != nil {
		t.Errorf("%s%v", diff, err)
	}
	if err := opens(t, set[0], set[1], set[2], "model.base="+base, "model.phikon=", "train.adapter=lora"); err != nil {
		t.Errorf("an adapter of a base that knows the markers: %v", err)
	}
}
