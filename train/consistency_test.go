package train_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// signs are examples whose latents are their condition, constant over the pixels, or its negative: two images fit each
// H&E. From pure noise a network predicts their mean, which is neither; the probability flow chooses one by the noise.
type signs struct{}

func (signs) Len() int { return 64 }

func (signs) Example(ctx context.Context, _ train.Position, _ train.Task, g *rng.Torch) (train.Example, error) {
	const batch, each, channels = 4, 4 * 4 * 4, 4
	e := train.Example{
		Shape: [4]int{batch, 4, 4, channels}, Latents: make([]float32, batch*each), Condition: make([]float32, batch*each),
		Context: slices.Repeat([]float32{1}, batch*8),
	}
	var c [batch * channels]float32
	g.Randn(c[:])
	for n := range batch {
		sign := float32(2*g.RandInt(0, 2) - 1)
		for i := n * each; i < (n+1)*each; i++ {
			e.Condition[i] = c[n*channels+i%channels]
			e.Latents[i] = sign * e.Condition[i]
		}
	}
	return e, ctx.Err()
}

// few is one example and the noise that its sampling begins with.
type few struct {
	device  device.Device
	example train.Example
	noise   []float32
}

// sample takes the noise to latents by DDIM, with a trainer's moving average.
func (f few) sample(t *testing.T, trainer *train.Trainer, steps int) []float32 {
	t.Helper()
	e := f.example
	c, err := unet.ReadConfig(filepath.Join(network(t), "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := unet.Build(c, unet.Size{Batch: e.Shape[0], Height: e.Shape[1], Width: e.Shape[2], Tokens: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := trainer.Bind(n.Scope.Params(), train.Averages); err != nil {
		t.Fatal(err)
	}
	p, err := vm.Compile(gorgonia.Nodes{n.Output}, vm.Options{Device: f.device, Vary: n.Scope.Params()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := sdSchedule(t, schedule.VPrediction)
	sampler, plan, err := schedule.SolverDDIM.Translation(s, steps)
	if err != nil {
		t.Fatal(err)
	}
	x, channels := slices.Clone(f.noise), e.Shape[3]
	for _, step := range plan {
		var sample []float32
		for i := 0; i < len(x); i += channels {
			sample = append(append(sample, x[i:i+channels]...), e.Condition[i:i+channels]...)
		}
		times := slices.Repeat([]float32{float32(step.Timestep)}, e.Shape[0])
		out, err := p.Run(t.Context(), vm.Feeds{}.Set(n.Sample, sample).Set(n.Timesteps, times).Set(n.Context, e.Context))
		if err != nil {
			t.Fatal(err)
		}
		if err := sampler(s, x, out[0].Float32s(), step); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// learn trains on signs.
func learn(t *testing.T, d device.Device, c train.Config, folder string) *train.Trainer {
	t.Helper()
	trainer, err := train.New(c, train.Options{Device: d, UNet: folder, Schedule: sdSchedule(t, c.Prediction)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trainer.Close(); err != nil {
			t.Error(err)
		}
	})
	g := rng.NewTorch(1)
	for range c.MaxSteps {
		e, err := signs{}.Example(t.Context(), train.Position{}, train.Translation, g)
		if err != nil {
			t.Fatal(err)
		}
		draws, err := trainer.Draw(g, e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trainer.Accumulate(t.Context(), e, draws); err != nil {
			t.Fatal(err)
		}
		if _, err := trainer.Update(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return trainer
}

// TestDistilledTakesFewSteps: after 300 steps of distillation, the distance from what the teacher makes of the same
// noise in 24 steps has fallen by a sixth, with one step and with four.
func TestDistilledTakesFewSteps(t *testing.T) {
	f := few{device: networktest.Open(t, networktest.Names()[0])}
	c := tinyRun()
	c.MaxSteps, c.Accumulate, c.SNRGamma, c.EMADecay = 600, 1, 0, 0.95
	c.LearningRate.Base, c.LearningRate.Warmup, c.WeightDecay = 3e-3, 20, 0
	teacher := learn(t, f.device, c, network(t))
	folder := filepath.Join(t.TempDir(), "unet")
	if err := teacher.Save(folder, train.Averages); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "config.json"), []byte(tinyConfig))

	g := rng.NewTorch(7)
	var err error
	if f.example, err = (signs{}).Example(t.Context(), train.Position{}, train.Translation, g); err != nil {
		t.Fatal(err)
	}
	f.noise = make([]float32, len(f.example.Latents))
	g.Randn(f.noise)
	want := f.sample(t, teacher, 24)
	distance := func(x []float32) float64 {
		sum := 0.0
		for i := range x {
			sum += float64(x[i]-want[i]) * float64(x[i]-want[i])
		}
		return math.Sqrt(sum / float64(len(x)))
	}
	c.Objective, c.DistillLevels, c.MaxSteps, c.LearningRate.Base = train.Consistency, 24, 300, 4e-3
	for _, test := range []struct{ segments, hops int }{{1, 6}, {4, 1}, {4, 6}} {
		c.DistillSegments, c.DistillHops = test.segments, test.hops
		before := distance(f.sample(t, teacher, test.segments))
		after := distance(f.sample(t, learn(t, f.device, c, folder), test.segments))
		t.Logf("%+v: %.3f → %.3f", test, before, after)
		if !(after < 0.83*before) {
			t.Errorf("%+v: distance %.3f, the teacher's is %.3f", test, after, before)
		}
	}
}

// consistencyRun is tinyRun for a distillation.
func consistencyRun() train.Config {
	c := tinyRun()
	c.Objective, c.SNRGamma, c.DistillLevels, c.DistillSegments, c.DistillAverage = train.Consistency, 0, 12, 2, true
	return c
}

// TestConsistencyTargetEqualsPyTorch: targets and losses by the formulas of Heek et al., which distillation.py has,
// with diffusers' U-Net as teacher and student.
func TestConsistencyTargetEqualsPyTorch(t *testing.T) {
	file := golden.Open(t, "distillation.safetensors")
	var cases []struct {
		Name             string
		Levels, Segments int
		Timesteps        []int
	}
	file.MetadataJSON(t, "cases", &cases)
	var tolerances map[string]float64
	file.MetadataJSON(t, "tolerances", &tolerances)
	images := func(name string) []float32 { return golden.NHWC(file.Float32(t, name)).Data }
	shape := golden.NHWC(file.Float32(t, "latents")).Shape
	e := train.Example{
		Shape: [4]int(shape), Latents: images("latents"), Condition: images("condition"),
		Context: file.Float32(t, "context").Data,
	}
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		for _, test := range cases {
			c := consistencyRun()
			c.DistillLevels, c.DistillSegments, c.DistillHops = test.Levels, test.Segments, 1
			c.DistillAverage = test.Segments > 1 // the same weights at the start
			trainer, err := train.New(c, train.Options{
				Device: d, UNet: golden.Path(t, "tiny/unet"), Schedule: sdSchedule(t, c.Prediction),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer trainer.Close()
			draws := train.Draws{
				Noise: images("noise"), Offset: make([]float32, shape[0]*shape[3]),
				Perturbation: make([]float32, len(e.Latents)), Timesteps: test.Timesteps,
			}
			target, err := trainer.Target(t.Context(), e, draws)
			if err != nil {
				t.Fatal(err)
			}
			loss, err := trainer.Loss(t.Context(), e, draws, train.Parameters)
			if err != nil {
				t.Fatal(err)
			}
			for name, got := range map[string][]float32{"target": target, "loss": {float32(loss)}} {
				name = test.Name + "/" + name
				want := file.Float32(t, name).Data
				if len(want) > 1 {
					want = images(name)
				}
				off := 0.0
				for i := range want {
					off = max(off, math.Abs(float64(got[i]-want[i])))
				}
				if len(got) != len(want) || !(off <= tolerances[name]) {
					t.Errorf("%s: off by %g, want at most %g", name, off, tolerances[name])
				}
			}
		}
	})
}

// TestDirectDistillation: with the teacher's steps through a whole segment, examples are drawn where segments begin,
// and the target is where the teacher arrives, whatever the student.
func TestDirectDistillation(t *testing.T) {
	d := networktest.Open(t, "ref")
	c := consistencyRun()
	c.DistillHops = 6
	trainer := tinyTrainer(t, d, c)
	seen := map[int]bool{}
	g := rng.NewTorch(1)
	e, err := noisy{length: 1}.Example(t.Context(), train.Position{}, train.Translation, g)
	if err != nil {
		t.Fatal(err)
	}
	var draws train.Draws
	for range 20 {
		if draws, err = trainer.Draw(g, e); err != nil {
			t.Fatal(err)
		}
		seen[draws.Timesteps[0]] = true
	}
	if len(seen) != 2 || !seen[999] || !seen[499] {
		t.Errorf("time steps %v, want 499 and 999", seen)
	}
	before, err := trainer.Target(t.Context(), e, draws)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first has the learning rate 0
		if _, err := trainer.Accumulate(t.Context(), e, draws); err != nil {
			t.Fatal(err)
		}
		if _, err := trainer.Update(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	after, err := trainer.Target(t.Context(), e, draws)
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("the target changed with the student: %v", err)
	}
}

func TestDistillationIsChecked(t *testing.T) {
	if err := consistencyRun().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*train.Config){
		"prediction-type: epsilon: objective consistency wants v":     func(c *train.Config) { c.Prediction = schedule.Epsilon },
		"snr-gamma: 5: objective consistency wants 0":                 func(c *train.Config) { c.SNRGamma = 5 },
		"distill-average: true: want false without ema":               func(c *train.Config) { c.EMA = false },
		"distill-levels: 12: want a multiple of distill-segments, 5":  func(c *train.Config) { c.DistillSegments = 5 },
		"distill-hops: 0: want 1 to 1000":                             func(c *train.Config) { c.DistillHops = 0 },
		"texture-weight: 1: objective consistency makes no images":    func(c *train.Config) { c.TextureWeight = 1 },
		"decoder-only: true: objective consistency trains no decoder": func(c *train.Config) { c.DecoderOnly = true },
	} {
		c := consistencyRun()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestDistillationOfNaN: an example that is not finite is skipped, or ends the run with the name of the network where
// it showed.
func TestDistillationOfNaN(t *testing.T) {
	c := consistencyRun()
	c.MaxSteps = 8
	spoilt := noisy{length: 7, spoil: func(at train.Position, e *train.Example) {
		if at == (train.Position{Index: 3}) {
			e.Latents[0] = float32(math.NaN())
		}
	}}
	_, err := runTiny(t.Context(), c, network(t), train.RunOptions{Folder: t.TempDir(), Examples: spoilt})
	if !errors.Is(err, train.ErrNotFinite) || !strings.Contains(err.Error(), "the teacher's output") ||
		!strings.Contains(err.Error(), "micro-step 3, translation") {
		t.Error(err)
	}
	c.MaxSkipped = 1
	result, err := runTiny(t.Context(), c, network(t), train.RunOptions{Folder: t.TempDir(), Examples: spoilt})
	if err != nil || result.Skipped != 1 || result.Step != 8 {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestDistillationCost counts the networks that make the targets.
func TestDistillationCost(t *testing.T) {
	c := consistencyRun()
	g := rng.NewTorch(1)
	e, err := noisy{length: 1}.Example(t.Context(), train.Position{}, train.Translation, g)
	if err != nil {
		t.Fatal(err)
	}
	cost := map[train.Objective]train.Cost{}
	for _, o := range []train.Objective{train.Consistency, train.Diffusion} {
		if c.Objective = o; o == train.Diffusion {
			c.DistillAverage = false
		}
		d, trainer, err := setup(c, network(t))
		if err != nil {
			t.Fatal(err)
		}
		draws, err := trainer.Draw(g, e)
		if err != nil {
			t.Fatal(err)
		}
		if o == train.Consistency {
			draws.Timesteps[0] = 999
		}
		cost[o], err = train.Measure(t.Context(), trainer, []train.Example{e}, []train.Draws{draws})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	a, b := cost[train.Consistency], cost[train.Diffusion]
	if a.Guides == 0 || b.Guides != 0 || a.Memory() <= b.Memory() || a.FLOP <= b.FLOP {
		t.Errorf("%+v, without the targets %+v", a, b)
	}
}
