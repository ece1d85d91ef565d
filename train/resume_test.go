package train_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

func TestResumeNeedsLeaveAndTheSameConfiguration(t *testing.T) {
	net, dir := network(t), t.TempDir()
	c := tinyRun()
	c.MaxSteps = 4
	if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir}); !errors.Is(err, train.ErrExists) {
		t.Errorf("a new run in the folder: %v", err)
	}
	changed := c
	changed.LearningRate.Base, changed.MaxSteps, changed.KeepLast = 2e-3, 6, 1
	_, err := runTiny(t.Context(), changed, net, train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true}})
	for _, want := range []string{"lr: 0.001 in the checkpoint, 0.002 now", "steps: 4 in the checkpoint, 6 now"} {
		if !errors.Is(err, train.ErrChanged) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: want %q", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "keep_last") {
		t.Errorf("keep_last may change: %v", err)
	}
	_, err = runTiny(t.Context(), c, net,
		train.RunOptions{Folder: dir, Examples: noisy{length: 5}, Resume: train.Resume{Allowed: true}})
	if !errors.Is(err, train.ErrChanged) || !strings.Contains(err.Error(), "7 in the checkpoint, 5 now") {
		t.Errorf("another number of examples: %v", err)
	}
	result, err := runTiny(t.Context(), changed, net,
		train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true, AcceptChanges: true}})
	if err != nil || result.Resumed != 4 || result.Step != 6 {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestResumeWhereThereIsNothing is refused, if it must go on.
func TestResumeWhereThereIsNothing(t *testing.T) {
	net, dir := network(t), t.TempDir()
	c := tinyRun()
	c.MaxSteps = 4
	for name, r := range map[string]train.Resume{
		"no checkpoint": {
			Allowed:  true,
			Required: true,
		}, "no such folder": {From: filepath.Join(dir, "nowhere")}, "no checkpoint's folder": {From: net},
	} {
		if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir, Resume: r}); !errors.Is(err,
			train.ErrNoCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := runTiny(t.Context(), c, net,
		train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true}}); err != nil {
		t.Fatal(err)
	}
	want := dir + ": no checkpoint to go on from: it is a run, want one of its checkpoints, such as " +
		filepath.Join(dir, "checkpoint-4")
	if err := (train.Resume{From: dir}).Check(t.TempDir()); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// The latest checkpoint of a run is the one that it would resume from, also where the file that names it was not yet
// written, or names one that is gone.
func TestLatest(t *testing.T) {
	dir := t.TempDir()
	if _, err := train.Latest(dir); err == nil || !strings.Contains(err.Error(), "want the folder of a run") {
		t.Errorf("of a folder without checkpoints: %v", err)
	}
	for _, name := range []string{"checkpoint-8", "checkpoint-12"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "manifest.json"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	newest := filepath.Join(dir, "checkpoint-12")
	if got, err := train.Latest(dir); err != nil || got != newest {
		t.Errorf("of a run that was killed before it named one: %s, %v", got, err)
	}
	for named, want := range map[string]string{"checkpoint-8": "checkpoint-8", "checkpoint-10": "checkpoint-12"} {
		if err := os.WriteFile(filepath.Join(dir, "latest"), []byte(named+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := train.Latest(dir); err != nil || got != filepath.Join(dir, want) {
			t.Errorf("of a run that names %s: %s, %v", named, got, err)
		}
	}
	if got, err := train.Latest(newest + string(filepath.Separator)); err != nil || got != newest {
		t.Errorf("of a checkpoint: %s, %v", got, err)
	}
}

func TestFlippedBytesAreFound(t *testing.T) {
	net, dir := network(t), t.TempDir()
	c := tinyRun()
	if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir}); err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(dir, "checkpoint-40")
	for name, text := range files(t, last) {
		path := filepath.Join(last, name)
		for _, at := range []int{0, len(text) / 2, len(text) - 1} {
			flipped := []byte(text)
			flipped[at] ^= 1
			if err := os.WriteFile(path, flipped, 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true}})
			if !errors.Is(err, train.ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("byte %d of %s flipped: %v", at, name, err)
			}
		}
		if name == "state.json" {
			result, err := runTiny(t.Context(), c, net,
				train.RunOptions{Folder: dir, Resume: train.Resume{Allowed: true, FallBack: true}})
			if err != nil || result.Resumed != 36 || result.Step != 40 {
				t.Errorf("falling back: %+v, %v", result, err)
			}
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCheckpointsKept(t *testing.T) {
	c := tinyRun()
	c.KeepEvery = 16
	dir := t.TempDir()
	if _, err := runTiny(t.Context(), c, network(t), train.RunOptions{Folder: dir}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := []string{".lock", "checkpoint-16", "checkpoint-32", "checkpoint-36", "checkpoint-40", "latest"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "latest")); err != nil || string(text) != "checkpoint-40\n" {
		t.Errorf("latest is %q, %v", text, err)
	}
}

// TestResumeElsewhere: another number of threads, another device and another objective are refused, the last always.
func TestResumeElsewhere(t *testing.T) {
	base, dir := untrained(t), t.TempDir()
	c := autoencoderRun()
	c.MaxSteps = 4
	if _, err := runAutoencoder(t.Context(), c, base, 1, train.RunOptions{Folder: dir}); err != nil {
		t.Fatal(err)
	}
	c.KeepLast = 3
	resume := train.Resume{Allowed: true}
	if networktest.Names()[0] != "cpu" {
		t.Skip("a build with one device, or a test of another one")
	}
	_, err := runAutoencoder(t.Context(), c, base, 2, train.RunOptions{Folder: dir, Resume: resume})
	if !errors.Is(err, train.ErrChanged) || !strings.Contains(err.Error(), "threads: 1 in the checkpoint, 2 now") {
		t.Errorf("other threads: %v", err)
	}
	d := networktest.Open(t, "ref")
	trainer, err := train.New(c, train.Options{Device: d, VAE: filepath.Join(base, "vae")})
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	_, err = train.Run(t.Context(), trainer, train.RunOptions{
		Folder: dir, Resume: resume, Examples: train.Images(painted{length: 5, side: 16}),
	})
	if !errors.Is(err, train.ErrChanged) || !strings.Contains(err.Error(), `device: "cpu" in the checkpoint, "ref" now`) {
		t.Errorf("another device: %v", err)
	}
	resume.AcceptChanges = true
	if _, err := runAutoencoder(t.Context(), c, base, 2, train.RunOptions{Folder: dir, Resume: resume}); err != nil {
		t.Errorf("accepted: %v", err)
	}
	_, err = runTiny(t.Context(), tinyRun(), network(t), train.RunOptions{Folder: dir, Resume: resume})
	if !errors.Is(err, train.ErrChanged) || !strings.Contains(err.Error(), "objective") {
		t.Errorf("another objective: %v", err)
	}
}
