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
	"github.com/histdist/histdist/train"
)

// coloured are translations to images of one colour, which the condition says.
type coloured struct {
	channels, context, factor int // of the latents, of the context, pixels of a latent
}

// colours are examples for the reference's tiny networks.
func colours(t *testing.T) coloured {
	m := openTiny(t)
	return coloured{m.VAE.LatentChannels, m.UNet.CrossAttentionDim, m.VAE.Factor()}
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

// TestEndToEnd: the error of the image falls, and its parts are reported.
func TestEndToEnd(t *testing.T) {
	var lines []train.Metrics
	if _, err := runTiny(t.Context(), endToEndRun(), golden.Path(t, "tiny/unet"), train.RunOptions{
		Folder: t.TempDir(), Examples: colours(t),
		Observe: progress.On(func(m train.Metrics) error { lines = append(lines, m); return nil }),
	}); err != nil {
		t.Fatal(err)
	}
	mean := func(lines []train.Metrics) (sum float64) {
		for _, m := range lines {
			sum += m.Losses["image"] / float64(len(lines))
		}
		return sum
	}
	if first, last := mean(lines[:3]), mean(lines[27:]); !(last < 0.7*first) || !(lines[0].Losses["texture"] > 0) {
		t.Errorf("image %g, then %g; losses %v", first, last, lines[0].Losses)
	}
}

// TestEndToEndCost counts the programs that make targets, of the texture, and the decoder's operations.
func TestEndToEndCost(t *testing.T) {
	c := endToEndRun()
	g := rng.NewTorch(1)
	e, err := colours(t).Example(t.Context(), train.Position{}, train.Translation, g)
	if err != nil {
		t.Fatal(err)
	}
	cost := map[train.Objective]train.Cost{}
	for _, o := range []train.Objective{train.EndToEnd, train.Diffusion} {
		if c.Objective = o; o == train.Diffusion {
			c.TextureWeight = 0
		}
		d, trainer, err := setup(c, golden.Path(t, "tiny/unet"))
		if err != nil {
			t.Fatal(err)
		}
		draws, err := trainer.Draw(g, e)
		if err != nil {
			t.Fatal(err)
		}
		if cost[o], err = train.Measure(t.Context(), trainer, []train.Example{e}, []train.Draws{draws}); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	a, b := cost[train.EndToEnd], cost[train.Diffusion]
	if a.Guides == 0 || b.Guides != 0 || a.Memory() <= b.Memory() || a.FLOP <= b.FLOP || a.Parameters != b.Parameters {
		t.Errorf("%+v, without the image %+v", a, b)
	}
}

// TestEndToEndIsChecked: models that can't be trained so are refused, and the trainer's memory is freed.
func TestEndToEndIsChecked(t *testing.T) {
	for want, change := range map[string]func(c *train.Config, folder *string){
		"not pure noise":                    func(c *train.Config, _ *string) { c.Prediction = schedule.Epsilon },
		filepath.Join("vae", "config.json"): func(_ *train.Config, folder *string) { *folder = network(t) },
	} {
		c, net := endToEndRun(), golden.Path(t, "tiny/unet")
		change(&c, &net)
		if _, err := runTiny(t.Context(), c, net, train.RunOptions{Folder: t.TempDir()}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
