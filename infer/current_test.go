package infer_test

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/internal/option"
)

// outcome is what a run did with the jobs of a folder.
type outcome struct {
	Done, Skipped, Failed int
	Remade                map[string]int
}

// runner returns a function that translates a folder.
func runner(t *testing.T, in, out string) func(change func(*infer.FileOptions)) outcome {
	p := newPipeline(t, networktest.Open(t, "auto"))
	return func(change func(*infer.FileOptions)) outcome {
		t.Helper()
		o := infer.FileOptions{Settings: quick(), Program: "histdist test"}
		if change != nil {
			change(&o)
		}
		jobs := plan(t, in, out)
		if o.Latents != "" {
			jobs.List = jobs.List[:1]
		}
		s, err := p.TranslateFiles(t.Context(), jobs, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range s.Failed {
			t.Log(f)
		}
		if len(s.Remade) == 0 {
			s.Remade = nil
		}
		return outcome{s.Done, s.Skipped, len(s.Failed), s.Remade}
	}
}

func TestAnOutputIsCurrentWhileWhatItIsMadeOfStays(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	a, b := filepath.Join(in, "a.png"), filepath.Join(in, "b.png")
	writeImage(t, a, pattern(16, 16, 3))
	writeImage(t, b, pattern(16, 16, 5))
	run := runner(t, in, out)
	seed := func(o *infer.FileOptions) { o.Settings.Seed++ }
	latents := filepath.Join(t.TempDir(), "latents.safetensors")
	steps := []struct {
		name   string
		before func()
		change func(*infer.FileOptions)
		want   outcome
	}{
		{"nothing there", nil, nil, outcome{Done: 2}},
		{"all there", nil, nil, outcome{Skipped: 2}},
		{
			"another image under the name", func() { writeImage(t, a, pattern(16, 16, 9)) }, nil,
			outcome{Done: 1, Skipped: 1, Remade: map[string]int{"the source has changed": 1}},
		},
		{"and again", nil, nil, outcome{Skipped: 2}},
		{"only the time of change", func() { touch(t, b) }, nil, outcome{Skipped: 2}},
		{"another seed", nil, seed, outcome{Failed: 2}},
		{
			"another seed, in a folder of its own", nil, func(o *infer.FileOptions) { seed(o); o.ReplaceOthers = true },
			outcome{Done: 2, Remade: map[string]int{"made with seed 0, now 1": 2}},
		},
		{"overwriting", nil, func(o *infer.FileOptions) { o.Overwrite = true }, outcome{Done: 2}},
		{
			"another version", nil, func(o *infer.FileOptions) { o.Program = "histdist 2" },
			outcome{Done: 2, Remade: map[string]int{"made by histdist test": 2}},
		},
		{"latents are asked for", nil, func(o *infer.FileOptions) {
			o.Program, o.Latents = "histdist 2", latents
		}, outcome{Done: 1, Remade: map[string]int{"its latents are asked for": 1}}},
	}
	for _, step := range steps {
		if step.before != nil {
			step.before()
		}
		if diff := cmp.Diff(step.want, run(step.change)); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
}

func TestOutputsOfEarlierVersionsAreMadeAnewAndOthersFilesStay(t *testing.T) {
	in, out := folder(t), t.TempDir()
	earlier := imagefile.WriteOptions{Provenance: []imagefile.Pair{{
		Key:   "histdist.settings",
		Value: "steps-inversion=2 seed=0",
	}}}
	if err := imagefile.Write(filepath.Join(out, "a.png"), pattern(16, 16, 1), earlier); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(out, "b.png")
	writeImage(t, foreign, pattern(16, 16, 1))
	before, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	want := outcome{
		Done: 2, Failed: 1,
		Remade: map[string]int{"made by an earlier version, which did not record the content of the source": 1},
	}
	if diff := cmp.Diff(want, runner(t, in, out)(nil)); diff != "" {
		t.Error(diff)
	}
	if after, err := os.ReadFile(foreign); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a file of another program was changed: %v", err)
	}
}

func TestAPanelIsCurrentWhileItsImagesStay(t *testing.T) {
	in, ref, out := t.TempDir(), t.TempDir(), t.TempDir()
	he, reference := filepath.Join(in, "a.png"), filepath.Join(ref, "a.PNG")
	writeImage(t, he, pattern(16, 16, 3))
	writeImage(t, reference, pattern(16, 16, 7))
	p := newPipeline(t, networktest.Open(t, "auto"))
	run := func(reference string, panel bool) outcome {
		t.Helper()
		jobs, err := infer.FindJobs(t.Context(),
			infer.JobOptions{Input: in, Output: out, Ending: ".png", Reference: reference, Panel: panel})
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.TranslateFiles(t.Context(), jobs,
			infer.FileOptions{Settings: quick(), Panel: panel, Program: "histdist test"})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Remade) == 0 {
			s.Remade = nil
		}
		return outcome{s.Done, s.Skipped, len(s.Failed), s.Remade}
	}
	remade := func(why string) outcome { return outcome{Done: 1, Remade: map[string]int{why: 1}} }
	panel := infer.PanelName(filepath.Join(out, "a.png"))
	steps := []struct {
		name   string
		before func()
		ref    string
		panel  bool
		want   outcome
	}{
		{"without a panel", nil, "", false, outcome{Done: 1}},
		{"a panel is asked for", nil, ref, true, remade("panel: was missing")},
		{"all there", nil, ref, true, outcome{Skipped: 1}},
		{
			"another reference", func() { writeImage(t, reference, pattern(16, 16, 8)) }, ref, true,
			remade("panel: the reference has changed"),
		},
		{"no reference", nil, "", true, remade("panel: made with a reference")},
		{"no panel", nil, "", false, outcome{Skipped: 1}},
		{"the panel is lost", func() { remove(t, panel) }, "", true, remade("panel: was missing")},
		{"another source", func() { writeImage(t, he, pattern(16, 16, 4)) }, "", true, remade("the source has changed")},
		{"all there again", nil, "", true, outcome{Skipped: 1}},
	}
	for _, step := range steps {
		if step.before != nil {
			step.before()
		}
		if diff := cmp.Diff(step.want, run(step.ref, step.panel)); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// Outputs and panels below the input are no input of the next run, nor of one into another folder.
func TestOutputsBelowTheInputAreNoInput(t *testing.T) {
	in := folder(t)
	out := filepath.Join(in, "out")
	p := newPipeline(t, networktest.Open(t, "auto"))
	for _, output := range []string{out, out, t.TempDir()} {
		jobs, err := infer.FindJobs(t.Context(), infer.JobOptions{Input: in, Output: output, Ending: ".jpg", Panel: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(jobs.List) != 3 {
			t.Fatalf("jobs %+v, want 3", jobs.List)
		}
		if _, err := p.TranslateFiles(t.Context(), jobs, infer.FileOptions{Settings: quick(), Panel: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever can be chosen is stated in the output, so that another choice is noticed: also what will be added to
// Settings.
func TestEverySettingIsPartOfTheOrigin(t *testing.T) {
	keys := func(v any) origin.Settings {
		s, err := origin.NewSettings(v)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := infer.DefaultSettings()
	if got, want := slices.Sorted(maps.Keys(keys(s))), strings.Fields(
		"eta eta-inversion normalize prediction-type prompt-inversion seed steps-inversion steps-translation"); !slices.Equal(got, want) {
		t.Errorf("outputs of before there were solvers are not current: %v", got)
	}
	s.Without, s.Solver, s.SolverInversion = "tokens", schedule.SolverSA, schedule.SolverDPM
	s.Marker = infer.Markers{"ER"}
	if got, want := len(keys(s)), len(option.Fields(s)); got != want {
		t.Errorf("%d of %d fields of Settings are stated: %v", got, want, keys(s))
	}
	for key := range keys(s) {
		if strings.ToLower(key) != key {
			t.Errorf("%s is not the name of an option", key)
		}
	}
}

func TestQualityIsPartOfAJPEG(t *testing.T) {
	in, out := filepath.Join(t.TempDir(), "a.png"), filepath.Join(t.TempDir(), "a.jpg")
	writeImage(t, in, pattern(16, 16, 3))
	p := newPipeline(t, networktest.Open(t, "auto"))
	for _, step := range []struct{ quality, done int }{{90, 1}, {90, 0}, {40, 1}} {
		s, err := p.TranslateFiles(t.Context(), &infer.Jobs{List: []infer.Job{{Input: in, Output: out}}},
			infer.FileOptions{Settings: quick(), Quality: step.quality, ReplaceOthers: true})
		if err != nil || s.Done != step.done {
			t.Errorf("quality %d: %+v, %v", step.quality, s, err)
		}
	}
}
