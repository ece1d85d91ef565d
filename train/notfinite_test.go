package train_test

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/train"
)

func TestNotFinite(t *testing.T) {
	net := network(t)
	spoil := func(at train.Position, e *train.Example) {
		if at == (train.Position{Epoch: 1, Index: 3}) {
			e.Context[0] = float32(math.NaN())
		}
	}
	c := tinyRun()
	dir := t.TempDir()
	o := train.RunOptions{Folder: dir, Examples: noisy{length: 7, spoil: spoil}}
	_, err := runTiny(t.Context(), c, net, o)
	if !errors.Is(err, train.ErrNotFinite) {
		t.Fatal(err)
	}
	for _, want := range []string{
		"step 6 (epoch 1, micro-step 3, translation)", "unet: ", "attn2",
		filepath.Join(dir, "checkpoint-4"),
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %v: want %q", err, want)
		}
	}
	c.MaxSkipped = 1
	o.Folder = t.TempDir()
	skips := 0
	o.Observe = progress.On(func(train.Skip) error { skips++; return nil })
	result, err := runTiny(t.Context(), c, net, o)
	if err != nil || result.Step != c.MaxSteps || result.Skipped != 1 || skips != 1 {
		t.Errorf("%+v with %d skips: %v", result, skips, err)
	}
	for part, tensor := range map[string]string{"unet": "conv_in.weight"} {
		s, err := weights.Open(filepath.Join(o.Folder, "checkpoint-40", part), weights.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		x, _, err := s.Float32(tensor)
		if err != nil || math.IsNaN(float64(x[0])) {
			t.Errorf("%s is %v, %v", tensor, x[0], err)
		}
	}
}

// Parameters that are no numbers any more are never saved: the last checkpoint is one that can be used.
func TestARunThatDivergedSavesNothing(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.CheckpointEvery = 2, 1
	c.LearningRate.Base, c.LearningRate.Warmup, c.LearningRate.Schedule = 1e60, 0, train.Constant
	dir := t.TempDir()
	_, err := runTiny(t.Context(), c, network(t), train.RunOptions{Folder: dir, Examples: noisy{length: 7}})
	if !errors.Is(err, train.ErrNotFinite) || !strings.Contains(err.Error(), "checkpoint-1") {
		t.Errorf("error %v: want ErrNotFinite of checkpoint-1", err)
	}
	for name := range files(t, dir) {
		if strings.Contains(name, "checkpoint") {
			t.Errorf("left behind: %s", name)
		}
	}
}
