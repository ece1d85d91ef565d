//go:build gpu

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A GPU that is lost or full in the middle of a run ends it with one clear message, and the run goes on from its last
// checkpoint as if nothing had been. The fake driver has such faults.
func TestLostGPU(t *testing.T) {
	fake, dir := fakeGPUs(t), t.TempDir()
	pairs := tinyPairs(t, dir)
	train := func(output, variable string) (code int, said string) {
		return trainOnFake(t, fake, variable, append(tinyTraining(t, pairs, output), "--device", "cuda:0", "--resume",
			auto)...)
	}
	whole, log := filepath.Join(dir, "whole"), filepath.Join(dir, "log")
	if code, said := train(whole, "HISTDIST_FAKE_CUDA_LOG="+log); code != exitOK {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	calls := func(kind string) int { return strings.Count("\n"+string(text), "\n"+kind) }

	const launchFailed, outOfMemory = 719, 2
	for _, c := range []struct {
		name, kind string
		share      float64 // of the run's calls of this kind that succeed
		code       int
		says       string
	}{
		{
			"in a step", "replay", 0.7, launchFailed,
			"replay: CUDA_ERROR_LAUNCH_FAILED (719): an error of the fake driver: the GPU is lost to this process; start it again",
		},
		{"full", "alloc", 0.97, outOfMemory, "nvidia-smi shows which processes hold the GPU's memory"},
		{"in a checkpoint", "download", 0.9, launchFailed, "save"},
	} {
		if testing.Short() && c.kind == "download" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			output := filepath.Join(t.TempDir(), "run")
			n := int(c.share * float64(calls(c.kind)))
			code, said := train(output, fmt.Sprintf("HISTDIST_FAKE_CUDA_FAIL=%s %d %d", c.kind, n, c.code))
			last := said[strings.LastIndex(said, "\nhistdist train: ")+1:] // the checkpoint to go on from follows it
			if code != exitFailed || !strings.HasPrefix(last, "histdist train: ") || !strings.Contains(last, "cuda:0") ||
				!strings.Contains(last, c.says) {
				t.Errorf("exit code %d; it ends with %q: want a failure, with %q", code, last, c.says)
			}
			if code, said := train(output, "HISTDIST_FAKE_CUDA_FAIL="); code != exitOK {
				t.Fatalf("the same again: exit code %d:\n%s", code, said)
			}
			if trained(t, output) != trained(t, whole) {
				t.Error("the weights differ from those of a run without a fault")
			}
		})
	}
}

// Two GPUs that share two micro-steps add the same two gradients as one that does both.
func TestTwoGPUs(t *testing.T) {
	fake, dir := fakeGPUs(t), t.TempDir()
	pairs := tinyPairs(t, dir)
	var weights []string
	for _, devices := range []string{"cuda:0", "cuda:0,cuda:1"} {
		output := filepath.Join(dir, fmt.Sprint("run", len(weights)))
		code, said := trainOnFake(t, fake, "HISTDIST_FAKE_CUDA_FAIL=", append(tinyTraining(t, pairs, output), "--device",
			devices, "--set", "train.accumulate=2",
			"--set", "train.validate-every=0", "--set", "train.checkpoint-every=6")...)
		if code != exitOK {
			t.Fatalf("%s: exit code %d:\n%s", devices, code, said)
		}
		weights = append(weights, trained(t, output))
	}
	if weights[0] != weights[1] {
		t.Error("the weights differ")
	}
}

// fakeGPUs is the folder of the fake driver, which has two GPUs.
func fakeGPUs(t *testing.T) string {
	t.Helper()
	fake, err := filepath.Abs("../../bin/cuda/fake")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(fake, "libcuda.so.1")); err != nil {
		t.Skip("no fake driver: scripts/cuda.sh fake")
	}
	return fake
}

func tinyPairs(t *testing.T, dir string) string {
	t.Helper()
	pairs := filepath.Join(dir, "pairs")
	if code := run(t.Context(), []string{
		"data", "synth", "--output", pairs, "--pairs", "4", "--val-pairs", "2",
		"--patient-pairs", "2", "--size", "64",
	},
		&strings.Builder{}, &strings.Builder{}); code != exitOK {
		t.Fatal("no pairs")
	}
	return pairs
}

// trainOnFake runs the command in a process of its own, for a driver stays in one.
func trainOnFake(t *testing.T, fake, variable string, args ...string) (code int, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"train", "demo", "--set", "run.tensorboard=false"},
		args...)...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "LD_LIBRARY_PATH="+fake, "HISTDIST_CUDA_LIBRARIES="+fake, variable)
	text, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

// trained are the weights of a run's last checkpoint.
func trained(t *testing.T, output string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(output, "checkpoint-6", "unet", "diffusion_pytorch_model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
