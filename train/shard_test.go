package train_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/train"
)

// TestShardedMoments: devices that share the moments, in one process or in several, end with the bytes of devices that
// each have all of them. Only the norm is added up in another order, which matters where gradients are clipped. The
// checkpoint has all moments, and one device can go on with it.
func TestShardedMoments(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.Accumulate, c.CheckpointEvery, c.MaxGradNorm = 4, 3, 2, 0
	whole := t.TempDir()
	runOn(t, 3, c, train.RunOptions{Folder: whole})
	sharded := c
	sharded.ShardOptimizer = true
	equal := func(folder string, step string) {
		t.Helper()
		for _, part := range []string{"unet", "unet_ema", "optimizer"} {
			same(t, filepath.Join(folder, step, part), filepath.Join(whole, step, part))
		}
	}

	one := t.TempDir()
	half := sharded
	half.MaxSteps = 2
	runOn(t, 3, half, train.RunOptions{Folder: one})
	runOn(t, 3, sharded, train.RunOptions{Folder: one, Resume: train.Resume{Allowed: true, AcceptChanges: true}})
	equal(one, "checkpoint-4")

	several := t.TempDir()
	_, errs := runRanks(t, 3, sharded, train.RunOptions{Folder: several, Examples: noisy{length: 7}},
		func(int, *train.RunOptions, func()) {})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	equal(several, "checkpoint-4")

	alone := train.RunOptions{
		Folder: t.TempDir(), Examples: noisy{length: 7},
		Resume: train.Resume{From: filepath.Join(several, "checkpoint-2"), AcceptChanges: true},
	}
	if result, err := runTiny(t.Context(), c, network(t), alone); err != nil || result.Resumed != 2 {
		t.Errorf("on one device: %+v, %v", result, err)
	}
}

// Clipped gradients take the norm of all of them. A device holds less.
func TestShardedNorm(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.Accumulate = 3, 2
	norms, memory := map[bool][]float64{}, map[bool]int64{}
	for _, shard := range []bool{false, true} {
		c.ShardOptimizer = shard
		_, errs := runRanks(t, 2, c, train.RunOptions{Folder: t.TempDir(), Examples: noisy{length: 7}},
			func(rank int, o *train.RunOptions, _ func()) {
				o.Observe = func(event any) error {
					if m, ok := event.(train.Metrics); ok && rank == 1 {
						norms[shard], memory[shard] = append(norms[shard], m.GradientNorm), m.Memory
					}
					return nil
				}
			})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	if memory[true] >= memory[false] {
		t.Errorf("%d bytes with shared moments, %d without", memory[true], memory[false])
	}
	for i, want := range norms[false] {
		if off := norms[true][i]/want - 1; off > 1e-5 || off < -1e-5 { // float32's roundings, carried on for 3 steps
			t.Errorf("step %d: norm %g, want %g", i+1, norms[true][i], want)
		}
	}
}

func TestShardedMomentsMustBeSaved(t *testing.T) {
	c := tinyRun()
	c.ShardOptimizer, c.ContinueUnsaved = true, true
	_, errs := runRanks(t, 2, c, train.RunOptions{Folder: t.TempDir(), Examples: noisy{length: 7}},
		func(int, *train.RunOptions, func()) {})
	for rank, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "continue-unsaved is true") {
			t.Errorf("rank %d: error %v", rank, err)
		}
	}
}
