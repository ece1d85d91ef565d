package train_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// coloured are translations to images of one colour, which the condition says.
type coloured struct {
	channels, context, factor int // of the latents, of the context, pixels of a latent
}

func (coloured) Len() int { return 3 }

func (c coloured) Example(ctx context.Context, at train.Position, _ train.Task, _ *rng.Torch) (train.Example, error) {
	const side = 4
	r := rand.New(rand.NewPCG(uint64(at.Index), 6))
	e := train.Example{Shape: [4]int{1, side, side, c.channels}, Latents: make([]float32, side*side*c.channels)}
	colour := r.Float32()
	for range e.Latents {
		e.Condition = append(e.Condition, colour)
	}
	for range 3 * c.context {
		e.Context = append(e.Context, r.Float32())
	}
	for range side * c.factor * side * c.factor * 3 {
		e.Images = append(e.Images, colour)
	}
	return e, ctx.Err()
}

func endToEndRun() train.Config {
	c := train.Default()
	c.Objective, c.MaxSteps, c.Accumulate, c.EMA, c.CheckpointEvery, c.Recompute = train.EndToEnd, 30, 1, true, 10, false
	c.TextureWeight, c.LearningRate.Base, c.LearningRate.Warmup = 1e-3, 3e-3, 2
	return c
}

// TestEndToEnd: the error of the image falls, its parts are reported, and a run in two parts has the bytes of one in
// one.
func TestEndToEnd(t *testing.T) {
	m := openTiny(t)
	source := coloured{m.VAE.LatentChannels, m.UNet.CrossAttentionDim, m.VAE.Factor()}
	run := func(c train.Config, dir string) (lines []train.Metrics) {
		d, err := networktest.Fastest(1)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		trainer, err := train.New(c, train.Options{
			Device: d, UNet: golden.Path(t, "tiny/unet"), VAE: golden.Path(t, "tiny/vae"), Schedule: sdSchedule(t, c.Prediction),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer trainer.Close()
		if _, err := train.Run(t.Context(), trainer, train.RunOptions{
			Folder: dir, Examples: source, Resume: train.Resume{Allowed: true, AcceptChanges: true},
			Observe: progress.On(func(m train.Metrics) error { lines = append(lines, m); return nil }),
		}); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	whole, parts := t.TempDir(), t.TempDir()
	lines := run(endToEndRun(), whole)
	mean := func(lines []train.Metrics) (sum float64) {
		for _, m := range lines {
			sum += m.Losses["image"] / float64(len(lines))
		}
		return sum
	}
	if first, last := mean(lines[:3]), mean(lines[27:]); !(last < 0.7*first) || !(lines[0].Losses["texture"] > 0) {
		t.Errorf("image %g, then %g; losses %v", first, last, lines[0].Losses)
	}
	half := endToEndRun()
	half.MaxSteps = 10
	half.LearningRate.Schedule = train.ConstantWithWarmup
	c := endToEndRun()
	c.LearningRate.Schedule = train.ConstantWithWarmup
	run(half, parts)
	run(c, parts)
	again := t.TempDir()
	run(c, again)
	same(t, filepath.Join(parts, "checkpoint-30", "unet_ema"), filepath.Join(again, "checkpoint-30", "unet_ema"))
}

func TestEndToEndIsChecked(t *testing.T) {
	d := networktest.Open(t, "ref")
	c := endToEndRun()
	c.Prediction = schedule.Epsilon
	_, err := train.New(c, train.Options{
		Device: d, UNet: golden.Path(t, "tiny/unet"), VAE: golden.Path(t, "tiny/vae"), Schedule: sdSchedule(t, c.Prediction),
	})
	if err == nil || !strings.Contains(err.Error(), "not pure noise") {
		t.Error(err)
	}
}
