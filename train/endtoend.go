package train

import (
	"context"
	"fmt"
	"path/filepath"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
)

// endToEnd trains a U-Net to translate in one step, by the image that it makes: Garcia et al., "Fine-Tuning Image-
// Conditional Diffusion Models is Easier than You Think" (2024), from noise instead of zeros, so that
// texture has something to be made of.
//
//	noise, condition ─ U-Net(context, last time step) ─ latents ─ decoder, frozen ─ image ─┬─ squared error ─┐
//	                                                                                       └─ texture ───────┴─ loss
//
// At the last time step, which is pure noise, the sample is the negative velocity.
type endToEnd struct {
	*diffusion
	decoder vae.Config
	store   *weights.Store // the decoder's
	texture *texture       // nil without its weight
}

// FastSampling is how a U-Net that was trained end to end is sampled: it makes the sample of noise at once.
func FastSampling() schedule.Sampling {
	s := schedule.Paper()
	s.StepsInversion, s.StepsTranslation, s.Solver = 0, 1, schedule.SolverConsistency
	s.EtaTranslation, s.Normalize = schedule.EtaZero(), schedule.NormalizeNone
	return s
}

func newEndToEnd(t *Trainer) (_ *endToEnd, err error) {
	o := t.options
	d, err := newDiffusion(t.config, o.UNet, o.Schedule)
	if err != nil {
		return nil, err
	}
	if a := o.Schedule.AlphasCumprod; d.config.Prediction != schedule.VPrediction || a[len(a)-1] != 0 {
		return nil, fmt.Errorf("objective %s: the last time step is not pure noise: want v-prediction with "+
			"rescale_betas_zero_snr in scheduler_config.json", EndToEnd)
	}
	f := &endToEnd{diffusion: d}
	if f.decoder, err = vae.ReadConfig(filepath.Join(o.VAE, configFile)); err != nil {
		return nil, err
	}
	if f.decoder.LatentChannels != d.network.OutChannels || f.decoder.OutChannels != 3 {
		return nil, fmt.Errorf("%s: %d latent channels and %d of the image: want %d and 3",
			o.VAE, f.decoder.LatentChannels, f.decoder.OutChannels, d.network.OutChannels)
	}
	if f.store, err = openWeights(o.VAE, o.Variant); err != nil {
		return nil, err
	}
	if t.config.TextureWeight > 0 {
		f.texture = newTexture(t.guideOptions)
	}
	return f, nil
}

func (f *endToEnd) programs() []*vm.Program { return f.texture.programs() }

func (f *endToEnd) close() error { return f.store.Close() }

func (f *endToEnd) size(e Example, d Draws) (size, error) {
	z, err := f.diffusion.size(e, d)
	k := f.decoder.Factor()
	if err == nil && f.texture != nil && min(e.Shape[1], e.Shape[2])*k < textureLeast {
		err = fmt.Errorf("latents %v: texture-weight wants images of %d pixels or more", e.Shape, textureLeast)
	}
	if err == nil && len(e.Images) != e.Shape[0]*e.Shape[1]*k*e.Shape[2]*k*3 {
		err = fmt.Errorf("%d values of images: want [%d,%d,%d,3]", len(e.Images), e.Shape[0], e.Shape[1]*k, e.Shape[2]*k)
	}
	return z, err
}

func (f *endToEnd) lossGraph(z size, share float64) (*lossGraph, error) {
	n, err := unet.Build(f.network, unet.Size{Batch: z.batch, Height: z.height, Width: z.width, Tokens: z.tokens})
	if err != nil {
		return nil, err
	}
	s, k := n.Scope, f.decoder.Factor()
	l := &lossGraph{scope: s, network: s.Params()}
	latents := op.Scale{Factor: -1 / f.decoder.ScalingFactor}.Apply(s, n.Output)
	const frozen = "vae."
	image := vae.Decode(s.Sub("vae"), latents, f.decoder)
	if err := s.Err(); err != nil {
		return nil, err
	}
	if err := f.store.Bind(s.Params()[len(l.network):], weights.Mapping{
		Rename: func(name string) string { return frozen + vae.Rename(name) },
		Ignore: func(name string) bool { return !vae.IsDecoder(name) },
	}); err != nil {
		return nil, err
	}
	target, each := s.Input("target", z.batch, z.height*k, z.width*k, 3), s.Input("weights", z.batch)
	squares := op.MSE{}.Apply(s, image, target, each)
	l.values = gorgonia.Nodes{squares, squares}
	var term textureTerm
	if f.texture != nil {
		term = f.texture.term(s, image, each, size{batch: z.batch, height: z.height * k, width: z.width * k})
		l.values[0] = op.Add{}.Apply(s, squares, op.Scale{Factor: f.config.TextureWeight}.Apply(s, term.distance))
		l.values = append(l.values, term.distance)
	}
	shares, timesteps := make([]float32, z.batch), make([]float32, z.batch)
	for i := range shares {
		shares[i], timesteps[i] = float32(share), float32(len(f.schedule.AlphasCumprod)-1)
	}
	l.feed = func(ctx context.Context, e Example, d Draws) (vm.Feeds, error) {
		x, err := f.config.diffuse(f.schedule, e, d)
		if err != nil {
			return nil, err
		}
		feeds := vm.Feeds{}.Set(n.Sample, x.sample).Set(n.Timesteps, timesteps).Set(n.Context, e.Context).
			Set(target, e.Images).Set(each, shares)
		if err := f.feedLabels(feeds, n, e.Labels); err != nil {
			return nil, err
		}
		if f.texture == nil {
			return feeds, nil
		}
		return feeds, term.feed(ctx, feeds, e.Images)
	}
	return l, s.Err()
}

// draw draws noise as for a diffusion, for the last time step.
func (f *endToEnd) draw(g *rng.Torch, e Example) (Draws, error) {
	d, err := Draw(g, e.Shape, 1)
	for i := range d.Timesteps {
		d.Timesteps[i] = len(f.schedule.AlphasCumprod) - 1
	}
	return d, err
}

// losses names the squared error and, if it counts, the texture's distance.
func (f *endToEnd) losses(_ Task, values []float64) map[string]float64 {
	n := float64(f.config.Accumulate)
	l := map[string]float64{"image": n * values[1]}
	if f.texture != nil {
		l["texture"] = n * values[2]
	}
	return l
}
