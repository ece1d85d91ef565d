package train_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// tinyAdapter trains an adapter of the tiny network with additions to layers of every kind.
func tinyAdapter() train.Config {
	c := tinyRun()
	c.Adapter = train.Adapter{Kind: "lora", Rank: 3, Alpha: 6, Layers: "attention, convolutions, ff.net.2"}
	return c
}

func shortAdapter() train.Config {
	c := tinyAdapter()
	c.MaxSteps = 12
	return c
}

func TestKilledAdapterEndsWithTheSameBytes(t *testing.T) {
	killed(t, shortAdapter(), network(t), nil, []death{{Step: 1}, {Saved: 4}, {Step: 7}, {Saved: 8}}, childAdapter+"=1")
}

// TestAdapterTrainsNothingElse looks at what has gradients and moments, and at what the checkpoint holds.
func TestAdapterTrainsNothingElse(t *testing.T) {
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		trainer := tinyTrainer(t, d, tinyAdapter())
		g := rng.NewTorch(1)
		first := accumulate(t, trainer, 0, g)
		accumulate(t, trainer, 1, g)
		begin := saved(t, trainer, train.Parameters)
		for i := range 2 { // the first has the learning rate 0
			accumulate(t, trainer, i, g)
			if _, err := trainer.Update(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		full := tinyTrainer(t, d, tinyRun())
		if want := accumulate(t, full, 0, rng.NewTorch(1)); first != want {
			t.Errorf("the first loss is %g: want the base's, %g", first, want)
		}
		if all, own := trainer.Parameters(), full.Parameters(); trainer.Trained() != all-own || own >= all {
			t.Errorf("%d of %d parameters are trained: want all but the base's %d", trainer.Trained(), all, own)
		}
		for _, slot := range []train.Slot{train.Parameters, train.Gradients, train.ExpAvg, train.ExpAvgSq, train.Averages} {
			for name := range saved(t, trainer, slot) {
				if !lora.IsParameter(name) {
					t.Errorf("%s has %s", slot, name)
				}
			}
		}
		moved := 0
		for name, x := range saved(t, trainer, train.Parameters) {
			isB := strings.Contains(name, "lora_B")
			if isB != allZero(begin[name].Data) {
				t.Errorf("%s begins with zeros: want that of B alone", name)
			}
			if isB && !allZero(x.Data) {
				moved++
			}
		}
		if moved == 0 {
			t.Error("no B moved")
		}
	})
}

func allZero(x []float32) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}

// TestMergedAdapterIsTheSameNetwork trains an adapter, adds it to the weights, and compares losses.
func TestMergedAdapterIsTheSameNetwork(t *testing.T) {
	net := network(t)
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		c := tinyAdapter()
		c.EMA = false
		trainer, err := setupOn(d, c, net)
		if err != nil {
			t.Fatal(err)
		}
		defer trainer.Close()
		g := rng.NewTorch(1)
		for i := range 6 {
			accumulate(t, trainer, i, g)
			if _, err := trainer.Update(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		dir := t.TempDir()
		file := filepath.Join(dir, lora.FileName)
		if err := trainer.Save(file, train.Parameters); err != nil {
			t.Fatal(err)
		}
		a, err := lora.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		exported := filepath.Join(dir, "exported.safetensors")
		if err := a.Export(exported, weights.Float32); err != nil {
			t.Fatal(err)
		}
		base := accumulate(t, mustTrainer(t, d, net), 7, rng.NewTorch(9))
		want := accumulate(t, trainer, 7, rng.NewTorch(9))
		for _, path := range []string{file, exported} {
			a, err := lora.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			merged := filepath.Join(t.TempDir(), "unet")
			if err := model.Convert(t.Context(), net, merged, model.ConvertOptions{
				Adapters: map[string]*lora.Adapter{"": a},
			}); err != nil {
				t.Fatal(err)
			}
			got := accumulate(t, mustTrainer(t, d, merged), 7, rng.NewTorch(9))
			// float32 rounds the sum of two products otherwise than the product of a sum.
			if off := math.Abs(got-want) / want; !(off < 1e-5) || math.Abs(base-want)/want < 1e-3 {
				t.Errorf("merged: loss %g, with the adapter %g, of the base %g", got, want, base)
			}
		}
	})
}

func mustTrainer(t *testing.T, d device.Device, network string) *train.Trainer {
	t.Helper()
	c := tinyRun()
	c.EMA = false
	trainer, err := setupOn(d, c, network)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trainer.Close(); err != nil {
			t.Error(err)
		}
	})
	return trainer
}

// TestBaseInBFloat16 keeps the frozen weights in half of the memory. 8 bits of precision are 0.4 % of each weight.
func TestBaseInBFloat16(t *testing.T) {
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		if !d.Has(device.BFloat16) {
			t.Skip("no bfloat16 here")
		}
		for _, p := range []vm.Precision{vm.Float32, vm.BFloat16} {
			for _, recompute := range []bool{false, true} {
				c := tinyAdapter()
				c.Accumulate, c.Precision, c.Recompute = 1, p, recompute
				want, _ := trained(t, d, c, 4)
				c.Adapter.Stored = vm.BFloat16
				got, last := trained(t, d, c, 4)
				for i := range want {
					if off := math.Abs(got[i]-want[i]) / want[i]; !(off < 0.05) || got[0] == want[0] {
						t.Errorf("%v: step %d: loss %g, with the base in float32 %g", p, i, got[i], want[i])
					}
				}
				if len(last) == 0 {
					t.Error("nothing was trained")
				}
			}
		}
	})
}

func TestAdapterErrors(t *testing.T) {
	net := network(t)
	for _, test := range []struct {
		change func(c *train.Config)
		want   string
	}{
		{func(c *train.Config) { c.Adapter.Layers = "attention,to_x" }, `"to_x" is no layer`},
		{func(c *train.Config) { c.Adapter.Layers = "" }, "no layers"},
		{func(c *train.Config) { c.Adapter.Rank = 9 }, "want at most 8"},
		{func(c *train.Config) { c.Adapter.Rank = 0 }, "adapter-rank"},
		{func(c *train.Config) { c.Adapter.Kind = "dora" }, "want lora or empty"},
		{func(c *train.Config) { c.Objective = train.Autoencoder }, "objective autoencoder"},
	} {
		c := tinyAdapter()
		test.change(&c)
		d, trainer, err := setup(c, net)
		if err == nil {
			err = trainer.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestResumeNeedsTheSameKind refuses an adapter's checkpoint for a run of all weights.
func TestResumeNeedsTheSameKind(t *testing.T) {
	net, dir := network(t), t.TempDir()
	c := tinyAdapter()
	c.MaxSteps, c.CheckpointEvery = 2, 0
	if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "checkpoint-2", "adapter_ema", lora.FileName)); err != nil {
		t.Error(err)
	}
	c.Adapter.Kind = ""
	_, err := runTiny(t.Context(), c, net, train.RunOptions{
		Folder: dir, Resume: train.Resume{Allowed: true, AcceptChanges: true},
	})
	if !errors.Is(err, train.ErrChanged) {
		t.Errorf("%v, want %v", err, train.ErrChanged)
	}
}

// TestAdapterOnRanks: two processes that train an adapter end with the bytes of one process and device that has their
// micro-steps, whether each has all moments or a part of them, also with the frozen weights in half of their memory.
func TestAdapterOnRanks(t *testing.T) {
	d, err := networktest.Fastest(1)
	if err != nil {
		t.Fatal(err)
	}
	bfloat16 := d.Has(device.BFloat16)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		stored vm.Precision
		shard  bool
	}{{"all moments", vm.Float32, false}, {"shared moments", vm.Float32, true}, {"bfloat16", vm.BFloat16, true}} {
		t.Run(c.name, func(t *testing.T) {
			if c.stored == vm.BFloat16 && !bfloat16 {
				t.Skip("no bfloat16 here")
			}
			config := tinyAdapter()
			config.Adapter.Stored = c.stored
			// Two micro-steps have one sum; the norm of parts of the gradients is added up in another order.
			config.MaxSteps, config.Accumulate, config.CheckpointEvery, config.MaxGradNorm = 4, 2, 2, 0
			one, two := t.TempDir(), t.TempDir()
			runOn(t, 1, config, train.RunOptions{Folder: one})
			config.ShardOptimizer = c.shard
			for _, steps := range []int{2, 4} { // the second goes on from the first's checkpoint
				config.MaxSteps = steps
				_, errs := runRanks(t, 2, config, train.RunOptions{
					Folder: two, Examples: noisy{length: 7}, Resume: train.Resume{Allowed: true, AcceptChanges: true},
				}, func(int, *train.RunOptions, func()) {})
				if err := errors.Join(errs...); err != nil {
					t.Fatal(err)
				}
			}
			for _, part := range []string{"adapter", "adapter_ema", "optimizer"} {
				same(t, filepath.Join(two, "checkpoint-4", part), filepath.Join(one, "checkpoint-4", part))
			}
		})
	}
}
