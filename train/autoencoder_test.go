package train_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// painted are pairs of small images with edges and gradients in them, other ones at each position.
type painted struct {
	length, side int
	seen         func(at train.Position) // may be nil
}

func (p painted) Len() int { return p.length }

func (p painted) Batch(ctx context.Context, at train.Position) (train.Batch, error) {
	if p.seen != nil {
		p.seen(at)
	}
	r := rand.New(rand.NewPCG(uint64(at.Index), 5))
	paint := func() []uint8 {
		rgb := make([]uint8, 0, p.side*p.side*3)
		base, slope, edge := r.IntN(100), r.IntN(100)/p.side, r.IntN(p.side)
		for y := range p.side {
			for x := range p.side {
				v := base + slope*y
				if x > edge {
					v += 50
				}
				rgb = append(rgb, uint8(v), uint8(255-v), uint8(v/2))
			}
		}
		return rgb
	}
	return train.Batch{N: 1, Height: p.side, Width: p.side, HE: paint(), IHC: paint()}, ctx.Err()
}

// autoencoderRun trains the reference's tiny autoencoder, which gets weights that have learned nothing.
func autoencoderRun() train.Config {
	c := train.Default()
	c.Objective, c.Seed, c.MaxSteps, c.Accumulate, c.EMA = train.Autoencoder, 3, 12, 2, true
	c.LearningRate.Base, c.LearningRate.Warmup, c.CheckpointEvery, c.Recompute = 3e-3, 2, 4, false
	return c
}

// untrained is a model like the reference's tiny one.
func untrained(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	like := t.TempDir()
	copyConfigurations(t, like)
	if err := model.Create(t.Context(), like, dir, model.CreateOptions{Seed: 1}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runAutoencoder(
	ctx context.Context, c train.Config, base string, threads int, o train.RunOptions,
) (train.Result, error) {
	d, err := networktest.Fastest(threads)
	if err != nil {
		return train.Result{}, err
	}
	t, err := train.New(c, train.Options{Device: d, VAE: filepath.Join(base, "vae")})
	if err != nil {
		return train.Result{}, errors.Join(err, d.Close())
	}
	if o.Examples == nil {
		o.Examples = train.Images(painted{length: 5, side: 16})
	}
	result, err := train.Run(ctx, t, o)
	return result, errors.Join(err, t.Close(), d.Close())
}

// TestAutoencoderLoss computes the loss from encoder and decoder, run by themselves, and the definitions.
func TestAutoencoderLoss(t *testing.T) {
	const weight = 1e-3
	m := openTiny(t)
	c := m.VAE
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		config := autoencoderRun()
		config.KLWeight, config.EMA, config.Accumulate = weight, false, 1
		trainer, err := train.New(config, train.Options{Device: d, VAE: golden.Path(t, "tiny/vae")})
		if err != nil {
			t.Fatal(err)
		}
		defer trainer.Close()
		side := 2 * c.Factor()
		example, err := train.Images(painted{length: 1, side: side}).Example(t.Context(), train.Position{}, train.Generation,
			nil)
		if err != nil {
			t.Fatal(err)
		}
		draws, err := trainer.Draw(rng.NewTorch(4), example)
		if err != nil {
			t.Fatal(err)
		}
		got, err := trainer.Accumulate(t.Context(), example, draws)
		if err != nil {
			t.Fatal(err)
		}

		n := example.Shape[0]
		e, err := vae.NewEncoder(c, vae.Size{Batch: n, Height: side, Width: side})
		if err != nil {
			t.Fatal(err)
		}
		x := tensor.New(tensor.WithShape(n, side, side, 3), tensor.WithBacking(example.Images))
		moments := compute(t, d, m.BindEncoder, e.Scope.Params(), e.Moments, e.Image, x)
		mean, logvar, deviation := vae.Moments(moments, c.LatentChannels)
		divergence := 0.0
		for i, a := range mean {
			divergence += (float64(a)*float64(a) + math.Exp(float64(logvar[i])) - 1 - float64(logvar[i])) / 2 / float64(n)
			mean[i] = a + deviation[i]*draws.Noise[i]
		}
		h := side / c.Factor()
		decoder, err := vae.NewDecoder(c, vae.Size{Batch: n, Height: h, Width: h})
		if err != nil {
			t.Fatal(err)
		}
		z := tensor.New(tensor.WithShape(n, h, h, c.LatentChannels), tensor.WithBacking(mean))
		decoded := compute(t, d, m.BindDecoder, decoder.Scope.Params(), decoder.Image, decoder.Latents, z)
		squares := 0.0
		for i, y := range decoded {
			off := float64(y) - float64(example.Images[i])
			squares += off * off
		}
		want := squares/float64(len(decoded)) + weight*divergence/float64(side*side*3)
		if math.Abs(got-want) > 1e-5*want {
			t.Errorf("loss %g, want %g", got, want)
		}
	})
}

// TestDecoderOnly: the encoder keeps its bits, the average's too, while the loss with its texture falls.
func TestDecoderOnly(t *testing.T) {
	base, dir := untrained(t), t.TempDir()
	c := autoencoderRun()
	c.MaxSteps, c.DecoderOnly, c.TextureWeight = 40, true, 2
	var textures []float64
	o := train.RunOptions{Folder: dir, Observe: progress.On(func(m train.Metrics) error {
		textures = append(textures, m.Losses["texture"])
		return nil
	})}
	result, err := runAutoencoder(t.Context(), c, base, 1, o)
	if err != nil {
		t.Fatal(err)
	}
	if first, last := textures[0], textures[len(textures)-1]; !(last < first/2) {
		t.Errorf("texture %g, then %g", first, last)
	}
	want, err := weights.Open(filepath.Join(base, "vae"), weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	for _, folder := range []string{"vae", "vae_ema"} {
		got, err := weights.Open(filepath.Join(result.Checkpoint, folder), weights.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer got.Close()
		for _, info := range want.Tensors() {
			a, _, err := want.Float32(info.Name)
			if err != nil {
				t.Fatal(err)
			}
			b, _, err := got.Float32(info.Name)
			if err != nil || slices.Equal(a, b) == vae.IsDecoder(info.Name) {
				t.Errorf("%s: %s: changed: %t, %v", folder, info.Name, !slices.Equal(a, b), err)
			}
		}
	}
}

// TestAutoencoderGradients compares the change of the loss along the gradient with the gradient's length.
func TestAutoencoderGradients(t *testing.T) {
	networktest.EachDevice(t, func(t *testing.T, d device.Device) {
		c := autoencoderRun()
		// Plain descent: AdamW with beta2 = 0 and a large epsilon steps by lr/epsilon times the gradient.
		const stepSize = 1e-3
		c.EMA, c.Accumulate, c.KLWeight, c.MaxGradNorm, c.TextureWeight = false, 1, 1e-2, 0, 1e-3
		c.AdamW = train.AdamW{Beta1: 0, Beta2: 0, Epsilon: 0.999, WeightDecay: 0}
		c.LearningRate = train.LearningRate{Schedule: train.Constant, Base: stepSize}
		trainer, err := train.New(c, train.Options{Device: d, VAE: filepath.Join(untrained(t), "vae")})
		if err != nil {
			t.Fatal(err)
		}
		defer trainer.Close()
		example, err := train.Images(painted{length: 1, side: 16}).Example(t.Context(), train.Position{}, train.Generation,
			nil)
		if err != nil {
			t.Fatal(err)
		}
		draws, err := trainer.Draw(rng.NewTorch(4), example)
		if err != nil {
			t.Fatal(err)
		}
		before, err := trainer.Accumulate(t.Context(), example, draws)
		if err != nil {
			t.Fatal(err)
		}
		gradients, params := saved(t, trainer, train.Gradients), saved(t, trainer, train.Parameters)
		if _, err := trainer.Update(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := trainer.Loss(t.Context(), example, draws, train.Parameters)
		if err != nil {
			t.Fatal(err)
		}
		// The change that the gradient foretells for the step that was made.
		want, largest := 0.0, 0.0
		for name, x := range saved(t, trainer, train.Parameters) {
			for i, v := range x.Data {
				g := float64(gradients[name].Data[i])
				want += g * (float64(v) - float64(params[name].Data[i]))
				largest = max(largest, math.Abs(g))
			}
		}
		// What is left is the second order, some per cent for a step that changes the loss by as much.
		if !(want < 0) || math.Abs(after-before-want) > 0.1*math.Abs(want) {
			t.Errorf("loss %g, then %g: changed by %g, the gradient foretells %g (largest %g)", before, after, after-before,
				want, largest)
		}
	})
}

// TestAutoencoderRun: the loss falls, its parts are reported, and what a checkpoint gives is a model with latents of
// the right size.
func TestAutoencoderRun(t *testing.T) {
	base, dir := untrained(t), t.TempDir()
	c := autoencoderRun()
	c.MaxSteps, c.ValidateEvery = 60, 60
	var lines []train.Metrics
	var scores []train.Scalar
	source := painted{length: 5, side: 16}
	fixed, err := train.Images(source).Example(t.Context(), train.Position{}, train.Generation, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := train.RunOptions{
		Folder: dir, Validate: train.FixedNoise([]train.Example{fixed}, 1),
		Observe: func(event any) error {
			switch e := event.(type) {
			case train.Metrics:
				lines = append(lines, e)
			case train.Scores:
				scores = e.Values
			}
			return nil
		},
	}
	result, err := runAutoencoder(t.Context(), c, base, 1, o)
	if err != nil {
		t.Fatal(err)
	}
	first, last := lines[0].Losses, lines[len(lines)-1].Losses
	if !(last["reconstruction"] < first["reconstruction"]/3) || !(last["divergence"] > 0) || len(first) != 2 {
		t.Errorf("losses %v, then %v", first, last)
	}
	if len(scores) != 2 || !(scores[0].Value > 0) {
		t.Errorf("validation %v", scores)
	}

	d := networktest.Open(t, "ref")
	for _, ema := range []bool{false, true} {
		s, err := train.MeasureLatents(t.Context(), result.Checkpoint, ema, d, source, 100)
		if err != nil {
			t.Fatal(err)
		}
		dst := filepath.Join(t.TempDir(), "model")
		if err := train.Export(t.Context(), result.Checkpoint, base, dst,
			train.ExportOptions{EMA: ema, Latents: &s}); err != nil {
			t.Fatal(err)
		}
		m, err := model.Open(dst, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if m.VAE.ScalingFactor != model.ScalingFactor {
			t.Errorf("scaling_factor %g", m.VAE.ScalingFactor)
		}
		mean, deviation := latentsOf(t, d, m, source)
		want := 1 / model.ScalingFactor
		for i := range mean {
			if math.Abs(mean[i]) > 1e-3*want || math.Abs(deviation[i]-want) > 1e-3*want {
				t.Errorf("channel %d: mean %g, deviation %g, want 0 and %g", i, mean[i], deviation[i], want)
			}
		}
		for name, text := range files(t, base) {
			if strings.HasPrefix(name, "vae"+string(filepath.Separator)) {
				continue
			}
			if got := string(mustRead(t, filepath.Join(dst, name))); got != text {
				t.Errorf("%s changed", name)
			}
		}
	}
	// Without statistics the weights are the checkpoint's.
	dst := filepath.Join(t.TempDir(), "model")
	if err := train.Export(t.Context(), result.Checkpoint, base, dst, train.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	equalWeights(t, filepath.Join(dst, "vae"), filepath.Join(result.Checkpoint, "vae"))
}

// latentsOf are mean and deviation of the latents that a model draws for a source's images, by channel, with the
// noise's variance.
func latentsOf(t *testing.T, d device.Device, m *model.Model, s painted) (means, deviations []float64) {
	t.Helper()
	c := m.VAE.LatentChannels
	means, deviations = make([]float64, c), make([]float64, c)
	count := 0.0
	for i := range s.Len() {
		x, err := train.Images(s).Example(t.Context(), train.Position{Index: i}, train.Generation, nil)
		if err != nil {
			t.Fatal(err)
		}
		e, err := vae.NewEncoder(m.VAE, vae.Size{Batch: x.Shape[0], Height: s.side, Width: s.side})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.BindEncoder(e.Scope.Params()); err != nil {
			t.Fatal(err)
		}
		in := tensor.New(tensor.WithShape(x.Shape[0], s.side, s.side, 3), tensor.WithBacking(x.Images))
		out := networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{e.Moments}, vm.Feeds{e.Image: in})[0]
		mean, _, deviation := vae.Moments(out.Data, c)
		for j, a := range mean {
			means[j%c] += float64(a)
			deviations[j%c] += float64(a)*float64(a) + float64(deviation[j])*float64(deviation[j])
		}
		count += float64(len(mean) / c)
	}
	for i := range means {
		means[i] /= count
		deviations[i] = math.Sqrt(deviations[i]/count - means[i]*means[i])
	}
	return means, deviations
}

// TestInterruptedAutoencoderEndsWithTheSameBytes cancels in the middle of steps and resumes.
func TestInterruptedAutoencoderEndsWithTheSameBytes(t *testing.T) {
	base, whole, broken := untrained(t), t.TempDir(), t.TempDir()
	if _, err := runAutoencoder(t.Context(), autoencoderRun(), base, 1, train.RunOptions{Folder: whole}); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		source := painted{length: 5, side: 16, seen: func(train.Position) {
			if steps++; steps == 5+i {
				cancel()
			}
		}}
		o := train.RunOptions{Folder: broken, Examples: train.Images(source), Resume: train.Resume{Allowed: true}}
		_, err := runAutoencoder(ctx, autoencoderRun(), base, 1, o)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	same(t, filepath.Join(broken, "checkpoint-12"), filepath.Join(whole, "checkpoint-12"))
}

func TestImagesThatDoNotFit(t *testing.T) {
	c := autoencoderRun()
	c.TextureWeight = 1
	trainer, err := train.New(c,
		train.Options{Device: networktest.Open(t, "ref"), VAE: golden.Path(t, "tiny/vae")})
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	for name, spoil := range map[string]func(*train.Example, *train.Draws){
		"size":     func(e *train.Example, _ *train.Draws) { e.Shape[1]-- },
		"values":   func(e *train.Example, _ *train.Draws) { e.Images = e.Images[1:] },
		"channels": func(e *train.Example, _ *train.Draws) { e.Shape[3] = 4 },
		"draws":    func(_ *train.Example, d *train.Draws) { d.Noise = nil },
	} {
		e, err := train.Images(painted{length: 1, side: 16}).Example(t.Context(), train.Position{}, train.Generation, nil)
		if err != nil {
			t.Fatal(err)
		}
		draws, err := trainer.Draw(rng.NewTorch(1), e)
		if err != nil {
			t.Fatal(err)
		}
		spoil(&e, &draws)
		if _, err := trainer.Accumulate(t.Context(), e, draws); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if diff := cmp.Diff(0, trainer.Step()); diff != "" {
		t.Error(diff)
	}
}

// copyConfigurations gives a folder the configurations of the reference's tiny networks.
func copyConfigurations(t *testing.T, dir string) {
	t.Helper()
	for part, from := range map[string]string{
		"unet": "tiny/unet", "vae": "tiny/vae", "text_encoder": "tiny/text_encoder", "phikon": "tiny-phikon",
	} {
		write(t, filepath.Join(dir, part, "config.json"), mustRead(t, golden.Path(t, from+"/config.json")))
	}
}
