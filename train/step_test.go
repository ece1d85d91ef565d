package train_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// trained is the loss of each step of a short run, and the parameters in the end.
func trained(t *testing.T, d device.Device, c train.Config, steps int) (losses []float64, last map[string][]float32) {
	t.Helper()
	trainer := tinyTrainer(t, d, c)
	g := rng.NewTorch(1)
	for i := range steps {
		loss := accumulate(t, trainer, i, g)
		if _, err := trainer.Update(t.Context()); err != nil {
			t.Fatal(err)
		}
		losses = append(losses, loss)
	}
	last = map[string][]float32{}
	for name, x := range saved(t, trainer, train.Parameters) {
		last[name] = x.Data
	}
	return losses, last
}

func tinyTrainer(t *testing.T, d device.Device, c train.Config) *train.Trainer {
	t.Helper()
	trainer, err := train.New(c, train.Options{Device: d, UNet: network(t), Schedule: sdSchedule(t, c.Prediction)})
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

func accumulate(t *testing.T, trainer *train.Trainer, i int, g *rng.Torch) float64 {
	t.Helper()
	e, err := noisy{length: 7}.Example(t.Context(), train.Position{Index: i}, train.Task(i%2), g)
	if err != nil {
		t.Fatal(err)
	}
	d, err := train.Draw(g, e.Shape, 1000)
	if err != nil {
		t.Fatal(err)
	}
	loss, err := trainer.Accumulate(t.Context(), e, d)
	if err != nil {
		t.Fatal(err)
	}
	return loss
}

// TestRecomputationChangesNoBit is why a run may be resumed with or without it.
func TestRecomputationChangesNoBit(t *testing.T) {
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		c := tinyRun()
		c.Accumulate = 1
		_, want := trained(t, d, c, 6)
		c.Recompute = true
		_, got := trained(t, d, c, 6)
		for name, x := range want {
			if !slices.Equal(got[name], x) {
				t.Errorf("%s differs", name)
			}
		}
	})
}

// TestBFloat16 follows the float32 run: 8 bits of precision are 0.4 % a rounding, of which a loss has many.
func TestBFloat16(t *testing.T) {
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		if !d.Has(device.BFloat16) {
			t.Skip("no bfloat16 here")
		}
		c := tinyRun()
		c.Accumulate = 1
		want, _ := trained(t, d, c, 12)
		c.Precision = vm.BFloat16
		got, last := trained(t, d, c, 12)
		for i := range want {
			if off := math.Abs(got[i]-want[i]) / want[i]; !(off < 0.05) {
				t.Errorf("step %d: loss %g, in float32 %g", i, got[i], want[i])
			}
		}
		// Parameters stay float32: small updates aren't rounded away.
		whole := 0
		for _, x := range last["conv_in.weight"] {
			if math.Float32bits(x)&0xFFFF == 0 {
				whole++
			}
		}
		if n := len(last["conv_in.weight"]); whole > n/2 {
			t.Errorf("%d of %d parameters are bfloat16 numbers", whole, n)
		}
	})
}

// TestGradientsAddUp: halves of two equal micro-steps are the gradients of one, and what was discarded does not count.
func TestGradientsAddUp(t *testing.T) {
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		c := tinyRun()
		c.Accumulate = 1
		one := tinyTrainer(t, d, c)
		accumulate(t, one, 0, rng.NewTorch(1))
		want := saved(t, one, train.Gradients)
		c.Accumulate = 2
		two := tinyTrainer(t, d, c)
		accumulate(t, two, 1, rng.NewTorch(2))
		two.Discard()
		accumulate(t, two, 0, rng.NewTorch(1))
		accumulate(t, two, 0, rng.NewTorch(1))
		for name, x := range saved(t, two, train.Gradients) {
			if !slices.Equal(x.Data, want[name].Data) {
				t.Errorf("%s differs", name)
			}
		}
	})
}

func TestLossChangesNothing(t *testing.T) {
	d := networktest.Open(t, "ref")
	trainer := tinyTrainer(t, d, tinyRun())
	e, err := noisy{length: 1}.Example(t.Context(), train.Position{}, train.Translation, rng.NewTorch(1))
	if err != nil {
		t.Fatal(err)
	}
	validate := train.FixedNoise([]train.Example{e, e}, 4)
	before, err := validate(t.Context(), trainer, 0)
	if err != nil {
		t.Fatal(err)
	}
	again, err := validate(t.Context(), trainer, 0)
	if err != nil || !slices.Equal(before, again) {
		t.Errorf("%v, then %v: %v", before, again, err)
	}
	if before[0].Value != before[1].Value {
		t.Errorf("the average is not the parameters at the start: %v", before)
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	d := networktest.Open(t, "ref")
	net := network(t)
	for name, test := range map[string]struct {
		change func(*train.Config, *train.Options)
		want   string
	}{
		"configuration": {func(c *train.Config, _ *train.Options) { c.MaxSteps = 0 }, "steps: 0"},
		"no device":     {func(_ *train.Config, o *train.Options) { o.Device = nil }, "device"},
		"schedule": {
			func(_ *train.Config, o *train.Options) { o.Schedule = sdSchedule(t, "epsilon") },
			"schedule for v_prediction",
		},
		"no network": {
			func(_ *train.Config, o *train.Options) { o.UNet = filepath.Join(net, "none") },
			"none/config.json",
		},
	} {
		c, o := tinyRun(), train.Options{Device: d, UNet: net, Schedule: sdSchedule(t, "v_prediction")}
		test.change(&c, &o)
		if _, err := train.New(c, o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

func TestExamplesThatDoNotFit(t *testing.T) {
	trainer := tinyTrainer(t, networktest.Open(t, "ref"), tinyRun())
	for name, spoil := range map[string]func(*train.Example, *train.Draws){
		"latents":   func(e *train.Example, _ *train.Draws) { e.Latents = e.Latents[1:] },
		"condition": func(e *train.Example, _ *train.Draws) { e.Condition = e.Condition[1:] },
		"context":   func(e *train.Example, _ *train.Draws) { e.Context = e.Context[1:] },
		"channels":  func(e *train.Example, _ *train.Draws) { e.Shape = [4]int{1, 8, 4, 2} },
		"draws":     func(_ *train.Example, d *train.Draws) { d.Noise = nil },
		"timestep":  func(_ *train.Example, d *train.Draws) { d.Timesteps[0] = 1000 },
	} {
		e, err := noisy{length: 1}.Example(t.Context(), train.Position{}, train.Translation, rng.NewTorch(1))
		if err != nil {
			t.Fatal(err)
		}
		d, err := train.Draw(rng.NewTorch(1), e.Shape, 1000)
		if err != nil {
			t.Fatal(err)
		}
		spoil(&e, &d)
		if _, err := trainer.Accumulate(t.Context(), e, d); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := trainer.Update(t.Context()); err == nil {
		t.Error("an update without gradients is no error")
	}
}

// TestDrawnTasks: the share of translations is what was asked for, and alternation begins anew in each epoch.
func TestDrawnTasks(t *testing.T) {
	net := network(t)
	tasks := func(c train.Config) (list []train.Task) {
		o := train.RunOptions{Folder: t.TempDir(), Examples: recorded{noisy{length: 3}, &list}}
		if _, err := runTiny(t.Context(), c, net, o); err != nil {
			t.Fatal(err)
		}
		return list
	}
	c := tinyRun()
	c.MaxSteps, c.Accumulate, c.LearningRate.Warmup = 6, 1, 0
	if got, want := tasks(c), []train.Task{0, 1, 0, 0, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("alternating: %v, want %v", got, want)
	}
	c.AlternateTasks = false
	for _, fraction := range []float64{0, 1} {
		c.TranslationFraction = fraction
		if got, want := tasks(c), slices.Repeat([]train.Task{train.Task(fraction)}, 6); !slices.Equal(got, want) {
			t.Errorf("fraction %g: %v", fraction, got)
		}
	}
	c.MaxSteps, c.TranslationFraction = 200, 0.7
	sum := 0
	for _, task := range tasks(c) {
		sum += int(task)
	}
	// Five standard deviations of 200 draws are 0.16.
	if share := float64(sum) / 200; math.Abs(share-0.7) > 0.16 {
		t.Errorf("fraction 0.7: %g of the micro-steps", share)
	}
}

// recorded notes the tasks that are asked for.
type recorded struct {
	noisy
	tasks *[]train.Task
}

func (r recorded) Example(
	ctx context.Context, at train.Position, task train.Task, g *rng.Torch,
) (train.Example, error) {
	*r.tasks = append(*r.tasks, task)
	return r.noisy.Example(ctx, at, task, g)
}

func TestUpdateIsWhole(t *testing.T) {
	trainer := tinyTrainer(t, networktest.Open(t, "ref"), tinyRun())
	accumulate(t, trainer, 0, rng.NewTorch(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if u, err := trainer.Update(ctx); err != nil || u.Step != 1 {
		t.Errorf("step %d, %v", u.Step, err)
	}
	if _, err := trainer.Accumulate(ctx, train.Example{}, train.Draws{}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("an empty example: %v", err)
	}
}
