package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/histdist/histdist/internal/golden"
)

// asCommand makes the test's binary the command.
const asCommand = "HISTDIST_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// The walk-through of docs/training.md in little: pairs, a run that is interrupted and resumed, a model of it, a
// translation.
func TestFromPairsToATranslation(t *testing.T) {
	dir := t.TempDir()
	pairs, output, exported, stains := filepath.Join(dir, "pairs"), filepath.Join(dir, "run"), filepath.Join(dir,
		"model"), filepath.Join(dir, "stains")
	do := func(want int, args ...string) string {
		t.Helper()
		var stdout, stderr strings.Builder
		if code := run(t.Context(), args, &stdout, &stderr); code != want {
			t.Fatalf("%s: exit code %d, want %d:\n%s%s", args[0], code, want, &stdout, &stderr)
		}
		return stdout.String() + stderr.String()
	}
	says := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("does not say %q:\n%s", want, text)
		}
	}
	do(exitOK, "data", "synth", "--output", pairs, "--pairs", "4", "--val-pairs", "2", "--patient-pairs", "2", "--size",
		"64")
	args := append([]string{"train", "demo"}, tinyTraining(t, pairs, output)...)
	says(do(exitOK, append(args, "--dry-run")...), "measured now")
	if _, err := os.Stat(filepath.Join(output, "latest")); err == nil {
		t.Error("a dry run trained")
	}
	says(do(exitOK, args...), "done: step 6")
	says(do(exitFailed, args...), "--resume latest")
	says(do(exitFailed, append(args, "--resume", "latest", "--set", "train.lr=5e-4")...), "--accept-changes")
	says(do(exitOK, append(args, "--resume", filepath.Join(output, "checkpoint-4"))...), "resuming after step 4")
	says(do(exitFailed, append(args, "--resume", "latest", "--set", "run.output="+filepath.Join(dir, "other"))...),
		"no checkpoint to go on from")
	if _, err := os.Stat(filepath.Join(dir, "other")); err == nil {
		t.Error("a run that has nothing to go on from made its folder")
	}
	says(do(exitOK, "config", "print", "--experiment", filepath.Join(output, "experiment.yaml")), "steps: 6")
	do(exitOK, "export", output, "--output", exported, "--dtype", "float16")
	says(do(exitFailed, "export", output, "--output", exported), "exist")
	do(exitOK, "translate", "--model", exported, "--input", filepath.Join(pairs, "TrainValAB", "valA"), "--output", stains,
		"--steps-inversion", "2", "--steps-translation", "2")
	if made, err := filepath.Glob(filepath.Join(stains, "*.png")); err != nil || len(made) != 2 {
		t.Errorf("stains %v, %v", made, err)
	}
}

// tinyTraining are the arguments for a run of 6 steps on the reference data's tiny model.
func tinyTraining(t *testing.T, pairs, output string) []string {
	return []string{
		"--set", "data.dir=" + pairs, "--set", "model.base=" + golden.Path(t,
			"tiny"), "--set", "model.phikon=" + golden.Path(t, "tiny-phikon"),
		"--set", "run.output=" + output, "--set", "data.crop=64", "--set", "data.batch=1", "--set", "train.steps=6",
		"--set", "train.lr-warmup=1",
		"--set", "train.checkpoint-every=2", "--set", "train.validate-every=4", "--set", "validation.pairs=1",
		"--set", "validation.translations=0",
	}
}

// A run's folder that was moved is where the run goes on, and a copy is a run of its own.
func TestMovedRunGoesOn(t *testing.T) {
	dir := t.TempDir()
	pairs, output, archive := filepath.Join(dir, "pairs"), filepath.Join(dir, "runs", "er"), filepath.Join(dir, "archive")
	do := func(args ...string) string {
		t.Helper()
		var stderr strings.Builder
		if code := run(t.Context(), args, &stderr, &stderr); code != exitOK {
			t.Fatalf("%s: exit code %d:\n%s", args[0], code, &stderr)
		}
		return stderr.String()
	}
	do("data", "synth", "--output", pairs, "--pairs", "4", "--val-pairs", "2", "--patient-pairs", "2", "--size", "64")
	check(t, "standard error", do(append([]string{"train", "demo", "--set", "run.threads=1", "--resume", auto},
		tinyTraining(t, pairs, output)...)...),
		"no checkpoint: starting a new run")
	if err := os.CopyFS(archive, os.DirFS(output)); err != nil { // as cp -r
		t.Fatal(err)
	}
	said := do("train", filepath.Join(archive, "experiment.yaml"), "--resume", "latest", "--accept-changes", "--set",
		"train.steps=8")
	check(t, "standard error", said, "resuming after step 6 of 8")
	check(t, "standard error", said, "done: step 8, "+filepath.Join(archive, "checkpoint-8"))
	if _, err := os.Stat(filepath.Join(output, "checkpoint-8")); err == nil {
		t.Error("the run went on in the old place")
	}
	if err := os.RemoveAll(output); err != nil {
		t.Fatal(err)
	}
	said = do("train", filepath.Join(archive, "experiment.yaml"), "--resume", "latest", "--accept-changes", "--set",
		"train.steps=10")
	check(t, "standard error", said, "resuming after step 8 of 10")
	if _, err := os.Stat(output); err == nil {
		t.Error("the old place is there again")
	}
}

// countdown is a context that ends when it is asked for the n-th time whether it has.
type countdown struct {
	context.Context
	cancel context.CancelFunc
	left   *atomic.Int64
}

func (c countdown) Err() error {
	if c.left.Add(-1) == 0 {
		c.cancel()
	}
	return c.Context.Err()
}

// Ctrl-C before the first step, while data, model and programs are opened, is no failure either.
func TestInterruptedStartIsNoFailure(t *testing.T) {
	dir := t.TempDir()
	pairs := filepath.Join(dir, "pairs")
	if code := run(t.Context(), []string{
		"data", "synth", "--output", pairs, "--pairs", "4", "--val-pairs", "2",
		"--patient-pairs", "2", "--size", "64",
	},
		&strings.Builder{}, &strings.Builder{}); code != exitOK {
		t.Fatal("no pairs")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr strings.Builder
	if code := run(ended, append([]string{"train", "demo", "--dry-run"}, tinyTraining(t, pairs, filepath.Join(dir,
		"dry"))...), &stdout, &stderr); code != exitFailed {
		t.Errorf("dry run: exit code %d, want %d", code, exitFailed)
	}
	check(t, "standard error", stderr.String(), "histdist train: interrupted: nothing was measured\n")
	begun := false
	for n := int64(1); !begun; n += max(1, n/2) {
		ctx, cancel := context.WithCancel(t.Context())
		c := countdown{ctx, cancel, &atomic.Int64{}}
		c.left.Store(n)
		var stdout, stderr strings.Builder
		output := filepath.Join(dir, fmt.Sprint(n))
		code := run(c, append([]string{"train", "demo", "--set", "run.threads=1"}, tinyTraining(t, pairs, output)...),
			&stdout, &stderr)
		cancel()
		begun = strings.Contains(stderr.String(), "step 1/")
		if code != exitOK || !begun && !strings.HasSuffix(stderr.String(),
			"stopped before the first step: nothing to save\n") {
			t.Errorf("interrupted at look %d: exit code %d:\n%s", n, code, &stderr)
		}
		if _, err := os.Stat(filepath.Join(output, "latest")); err == nil && !begun {
			t.Errorf("interrupted at look %d: there is a checkpoint", n)
		}
	}
}

// A command that is killed again and again, each time after another number of lines that it prints, and resumed each
// time, ends with the weights of one that was not.
func TestKilledTrainingEndsWithTheSameWeights(t *testing.T) {
	kills := []int{1, 3, 2, 4} // after so many lines
	if os.Getenv("HISTDIST_FULL") != "" {
		kills = slices.Repeat(kills, 5)
	}
	pairs := filepath.Join(t.TempDir(), "pairs")
	if code := run(t.Context(), []string{
		"data", "synth", "--output", pairs, "--markers", "er,her2", "--pairs", "4", "--val-pairs", "2",
		"--patient-pairs", "2", "--size", "64",
	},
		&strings.Builder{}, &strings.Builder{}); code != exitOK {
		t.Fatal("no pairs")
	}
	er, her2 := filepath.Join(pairs, "er"), filepath.Join(pairs, "her2")
	sets := fmt.Sprintf("data.sets=[{dir: %q, marker: ER, weight: 2}, {dir: %q, marker: HER2}]", er, her2)
	for name, data := range map[string][]string{
		"one set": {"data.dir=" + er}, "two sets": {"data.dir=", "model.marker=", sets},
	} {
		t.Run(name, func(t *testing.T) { killedTraining(t, kills, er, data) })
	}
}

func killedTraining(t *testing.T, kills []int, pairs string, data []string) {
	dir := t.TempDir()
	// train runs the command until it has printed so many lines; 0: to its end. A checkpoint a step, so that kills hit
	// some.
	train := func(output string, lines int) {
		args := append([]string{"train", "demo", "--resume", auto}, tinyTraining(t, pairs, output)...)
		args = append(args, "--set", "train.checkpoint-every=1", "--set", "train.validate-every=0", "--set", "train.steps=12")
		for _, key := range data {
			args = append(args, "--set", key)
		}
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), asCommand+"=1")
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		scanner := bufio.NewScanner(stderr)
		var text []string
		for scanner.Scan() {
			if text = append(text, scanner.Text()); len(text) == lines {
				if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err != nil && (lines == 0 || cmd.ProcessState.ExitCode() >= 0) { // -1: killed
			t.Fatalf("%v:\n%s", err, strings.Join(text, "\n"))
		}
	}
	whole, broken := filepath.Join(dir, "whole"), filepath.Join(dir, "broken")
	train(whole, 0)
	for _, lines := range kills {
		train(broken, lines)
	}
	train(broken, 0)
	for _, name := range []string{"unet", "unet_ema"} {
		path := filepath.Join("checkpoint-12", name, "diffusion_pytorch_model.safetensors")
		a, errA := os.ReadFile(filepath.Join(whole, path))
		b, errB := os.ReadFile(filepath.Join(broken, path))
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) {
			t.Errorf("%s differs", path)
		}
	}
}
