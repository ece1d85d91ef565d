package train_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// tinyConfig is a U-Net of two levels.
const tinyConfig = `{"_class_name": "UNet2DConditionModel", "in_channels": 8, "out_channels": 4,
"block_out_channels": [8, 16],
"down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
"layers_per_block": 1, "attention_head_dim": 2, "cross_attention_dim": 8, "norm_num_groups": 4, "sample_size": 8}`

// tinyUNet writes the folder of a tiny network with random weights.
func tinyUNet(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	path := filepath.Join(folder, "config.json")
	if err := os.WriteFile(path, []byte(tinyConfig), 0o644); err != nil {
		return err
	}
	c, err := unet.ReadConfig(path)
	if err != nil {
		return err
	}
	n, err := unet.Build(c, unet.Size{Batch: 1, Height: 1, Width: 1, Tokens: 1})
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, 2))
	var tensors []weights.Tensor
	for _, p := range n.Scope.Params() {
		x := make([]float32, op.Size(p.Shape()))
		for i := range x {
			x[i] = float32(r.NormFloat64() / 5)
		}
		t, err := weights.FromValue(p.Name(), tensor.New(tensor.WithShape(p.Shape()...), tensor.WithBacking(x)))
		if err != nil {
			return err
		}
		tensors = append(tensors, t)
	}
	return weights.Save(folder, tensors, weights.SaveOptions{})
}

// noisy are examples that are drawn: the first numbers of a micro-step, as an autoencoder's sample would be.
type noisy struct {
	length int
	spoil  func(at train.Position, e *train.Example) // may be nil
}

func (n noisy) Len() int { return n.length }

// sized are noisy examples with contexts of another width than the tiny network's.
type sized struct {
	noisy
	context int
}

func (s sized) Example(ctx context.Context, at train.Position, task train.Task, g *rng.Torch) (train.Example, error) {
	e, err := s.noisy.Example(ctx, at, task, g)
	for len(e.Context)%s.context != 0 || len(e.Context) < 3*s.context {
		e.Context = append(e.Context, 0.5)
	}
	return e, err
}

func (n noisy) Example(ctx context.Context, at train.Position, task train.Task, g *rng.Torch) (train.Example, error) {
	e := train.Example{Shape: [4]int{1, 4, 4, 4}, Latents: make([]float32, 64)}
	g.Randn(e.Latents)
	r := rand.New(rand.NewPCG(uint64(at.Epoch), uint64(at.Index)))
	normal := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	e.Context = normal(3 * 8)
	if task == train.Translation {
		e.Condition, e.Context = normal(64), normal(5*8)
	}
	if n.spoil != nil {
		n.spoil(at, &e)
	}
	return e, ctx.Err()
}

func tinyRun() train.Config {
	c := train.Default()
	c.Seed, c.MaxSteps, c.Accumulate, c.EMA, c.BucketMB = 3, 40, 2, true, 0.002
	c.LearningRate.Base, c.LearningRate.Warmup = 1e-3, 4
	c.CheckpointEvery, c.KeepLast, c.Recompute = 4, 2, false
	return c
}

// setup is a trainer of the tiny network on a device.
func setup(c train.Config, network string) (d device.Device, t *train.Trainer, err error) {
	if d, err = networktest.Fastest(1); err != nil {
		return nil, nil, err
	}
	t, err = setupOn(d, c, network)
	return d, t, err
}

func setupOn(d device.Device, c train.Config, network string) (t *train.Trainer, err error) {
	s := schedule.DefaultConfig()
	if s, err = s.For(c.Prediction); err != nil {
		return nil, err
	}
	noise, err := schedule.New(s)
	if err != nil {
		return nil, err
	}
	vae := filepath.Join(filepath.Dir(network), "vae") // of those that have one
	return train.New(c, train.Options{Device: d, UNet: network, VAE: vae, Schedule: noise})
}

// runTiny trains the tiny network in a folder.
func runTiny(ctx context.Context, c train.Config, network string, o train.RunOptions) (train.Result, error) {
	d, t, err := setup(c, network)
	if err != nil {
		return train.Result{}, err
	}
	if o.Examples == nil {
		o.Examples = noisy{length: 7}
	}
	result, err := train.Run(ctx, t, o)
	return result, errors.Join(err, t.Close(), d.Close())
}

// files reads what a folder holds.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[name] = string(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// same compares folders byte by byte.
func same(t *testing.T, got, want string) {
	t.Helper()
	a, b := files(t, got), files(t, want)
	for name, text := range b {
		if a[name] != text {
			t.Errorf("%s is not that of %s", filepath.Join(got, name), want)
		}
	}
	if len(a) != len(b) {
		t.Errorf("%s has %d files, want %d", got, len(a), len(b))
	}
}

func network(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "unet")
	if err := tinyUNet(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOneRunAFolder(t *testing.T) {
	net, dir := network(t), t.TempDir()
	var second error
	o := train.RunOptions{Folder: dir}
	o.Observe = progress.On(func(train.Start) error {
		_, second = runTiny(t.Context(), tinyRun(), net, train.RunOptions{Folder: dir})
		return errors.New("enough")
	})
	if _, err := runTiny(t.Context(), tinyRun(), net, o); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("first run: %v", err)
	}
	if !errors.Is(second, train.ErrLocked) || !strings.Contains(second.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second run: %v", second)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
