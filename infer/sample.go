package infer

import (
	"context"
	"fmt"
	"slices"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/finite"
)

// translation is one call of Translate.
type translation struct {
	Request
	pipeline *Pipeline
	programs *programs
	schedule *schedule.Schedule
	noise    []Noise
}

// loop is the inversion or the translation: a loop over the noise levels.
type loop struct {
	phase Phase
	Trajectory
	eta       func(i, n int) (float64, error) // of step i of n
	each      bool                            // standardise in each step
	network   *denoiser
	label     int       // of what stain the network makes
	context   []float32 // [N,tokens,C]
	condition []float32 // [N,h,w,C], concatenated to the latents
}

func (t *translation) run(ctx context.Context) ([]Result, error) {
	p, s := t.programs, t.Settings
	var text []float32
	if s.inverts() {
		var err error
		if text, err = t.pipeline.textStates(ctx, s.PromptInversion); err != nil {
			return nil, err
		}
	}
	start, condition, err := t.encode(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", encoderNet, err)
	}
	states, err := t.encodeViT(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vitNet, err)
	}
	if s.Without.has(withoutTokens) {
		clear(states)
	}
	if s.Without.has(withoutConcatenation) {
		clear(condition)
	}
	latents := slices.Clone(start)
	inversion, translation, err := s.trajectories(t.schedule)
	if err != nil {
		return nil, err
	}
	if !s.inverts() {
		if err := t.draw(latents); err != nil {
			return nil, err
		}
	} else if err := t.iterate(ctx, latents, loop{
		phase: Inversion, Trajectory: inversion, eta: s.EtaInversion.At, each: s.Normalize == schedule.NormalizeSteps,
		network: p.inversion, context: slices.Repeat(text, p.size.batch), condition: make([]float32, len(latents)),
	}); err != nil {
		return nil, err
	}
	if s.Normalize == schedule.NormalizeInversion {
		if err := schedule.Standardise(latents, p.latentShape()); err != nil {
			return nil, err
		}
	}
	standardised := latents
	names, labels, err := t.pipeline.labels(s.Marker)
	if err != nil {
		return nil, err
	}
	rewind := func() {}
	if len(labels) > 1 {
		rewind = t.repeatNoise()
	}
	var results []Result
	for k, label := range labels {
		rewind()
		latents := slices.Clone(standardised)
		if err := t.iterate(ctx, latents, loop{
			phase: Translation, Trajectory: translation,
			eta:     func(i, n int) (float64, error) { return s.Solver.Eta(s.EtaTranslation, i, n) },
			network: p.translation, label: label, context: states, condition: condition,
		}); err != nil {
			return nil, err
		}
		images, err := t.decode(ctx, latents)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", decoderNet, err)
		}
		for i, m := range images {
			r := Result{
				Image: m, Latents: t.one(latents, i), Start: t.one(start, i), Condition: t.one(condition, i),
				Standardised: t.one(standardised, i), LatentHeight: p.latentH, LatentWidth: p.latentW,
			}
			if k < len(names) {
				r.Marker = names[k]
			}
			results = append(results, r)
		}
	}
	return results, nil
}

// repeatNoise lets each image's noise be drawn several times from here on: after a call of rewind it is the same again.
func (t *translation) repeatNoise() (rewind func()) {
	at := make([]int, len(t.noise))
	t.noise = slices.Clone(t.noise)
	for i, noise := range t.noise {
		var drawn [][]float32
		t.noise[i] = func(dst []float32, h, w, c int) error {
			if at[i] == len(drawn) {
				if err := noise(dst, h, w, c); err != nil {
					return err
				}
				drawn = append(drawn, slices.Clone(dst))
			} else {
				copy(dst, drawn[at[i]])
			}
			at[i]++
			return nil
		}
	}
	return func() { clear(at) }
}

func (p *programs) latentShape() [4]int { return [4]int{p.size.batch, p.latentH, p.latentW, p.latentC} }

// one returns image i's part of a batch's values.
func (t *translation) one(values []float32, i int) []float32 {
	n := len(values) / len(t.Images)
	return values[i*n : (i+1)*n : (i+1)*n]
}

// encode returns the latents to diffuse and the condition, [N,h,w,C] each.
func (t *translation) encode(ctx context.Context) (start, condition []float32, err error) {
	if err := t.Observe.Report(Step{Phase: Encoding, Count: 1}); err != nil {
		return nil, nil, err
	}
	p := t.programs
	var pix []uint8
	for _, m := range t.Images {
		pix = pad(pix, m, p.size.height, p.size.width)
	}
	moments, err := p.encoder.Run(ctx, vae.Signed(pix))
	if err != nil {
		return nil, nil, err
	}
	if err := t.finite("moments", moments, finite.Squares); err != nil {
		return nil, nil, err
	}
	noise := make([]float32, len(moments)/2)
	if err := t.draw(noise); err != nil {
		return nil, nil, err
	}
	start, condition = vae.Latents(moments, noise, p.latentC, t.pipeline.model.VAE.ScalingFactor)
	return start, condition, nil
}

// draw fills dst [N,h,w,C] with each image's own noise.
func (t *translation) draw(dst []float32) error {
	p := t.programs
	for i, noise := range t.noise {
		if err := noise(t.one(dst, i), p.latentH, p.latentW, p.latentC); err != nil {
			return fmt.Errorf("noise: %w", err)
		}
	}
	return nil
}

// encodeViT returns the vision transformer's hidden states of the images, without padding: [N,tokens,C].
func (t *translation) encodeViT(ctx context.Context) ([]float32, error) {
	pixels, err := t.pipeline.preprocess(t.Images)
	if err != nil {
		return nil, err
	}
	states, err := t.programs.vit.Run(ctx, pixels)
	if err != nil {
		return nil, err
	}
	return states, t.finite("hidden states", states, finite.Squares)
}

// preprocess returns the vision transformer's pixels of images: [N,S,S,3].
func (p *Pipeline) preprocess(images []*imagefile.Image) (pixels []float32, err error) {
	for _, m := range images {
		x, err := p.model.Preprocessor.Preprocess(m.Pix, m.Width, m.Height)
		if err != nil {
			return nil, err
		}
		pixels = append(pixels, x...)
	}
	return pixels, nil
}

// unscaled are latents as the decoder takes them: divided by the VAE's scaling factor.
func (p *Pipeline) unscaled(latents []float32) []float32 {
	factor := float32(1 / p.model.VAE.ScalingFactor)
	values := make([]float32, len(latents))
	for i, x := range latents {
		values[i] = factor * x
	}
	return values
}

// iterate runs a loop on latents [N,h,w,C], in place.
func (t *translation) iterate(ctx context.Context, latents []float32, l loop) error {
	p := t.programs
	sample := make([]float32, 2*len(latents))
	noise := make([]float32, len(latents))
	timesteps := make([]float32, len(t.Images))
	feeds := vm.Feeds{}.Set(l.network.Sample, sample).Set(l.network.Timesteps, timesteps).Set(l.network.Context, l.context)
	if err := l.network.feedLabel(feeds, l.label); err != nil {
		return err
	}
	n, history := len(l.Steps), schedule.History{}
	for i, step := range l.Steps {
		if err := t.Observe.Report(Step{nil, l.phase, i, n, latents, p.latentShape()}); err != nil {
			return err
		}
		step.Noise, step.History = noise, &history
		var err error
		if step.Eta, err = l.eta(i, n); err != nil {
			return fmt.Errorf("%s: %w", l.phase, err)
		}
		concatChannels(sample, latents, l.condition, p.latentC)
		for j := range timesteps {
			timesteps[j] = float32(step.Timestep)
		}
		// The noise is drawn while the device works: 0.3 ms, where a GPU takes 5.
		drawn := make(chan error, 1)
		go func() {
			if step.Eta > 0 {
				drawn <- t.draw(noise)
				return
			}
			drawn <- nil
		}()
		out, err := l.network.Run(ctx, feeds)
		if failed := <-drawn; failed != nil && err == nil {
			return failed
		}
		if err != nil {
			return fmt.Errorf("%s step %d: %w", l.phase, i, err)
		}
		if l.each {
			step.Standardise = p.latentShape()
		}
		err = t.finite("output", out[0].Float32s(), finite.Squares)
		if err == nil {
			err = l.Sampler(t.schedule, latents, out[0].Float32s(), step)
		}
		if err == nil {
			err = t.finite("latents", latents, finite.Squares)
		}
		if err != nil {
			return fmt.Errorf("%s step %d (timestep %d): %s: %w", l.phase, i, step.Timestep, unetNet, err)
		}
	}
	return t.Observe.Report(Step{nil, l.phase, n, n, latents, p.latentShape()})
}

// concatChannels writes a and b [N,h,w,c] next to each other in the channels: dst [N,h,w,2c].
func concatChannels(dst, a, b []float32, c int) {
	for i := 0; i < len(a); i += c {
		copy(dst[2*i:], a[i:i+c])
		copy(dst[2*i+c:], b[i:i+c])
	}
}

// decode returns the images of latents.
func (t *translation) decode(ctx context.Context, latents []float32) ([]*imagefile.Image, error) {
	if err := t.Observe.Report(Step{Phase: Decoding, Count: 1}); err != nil {
		return nil, err
	}
	p := t.programs
	values, err := p.decoder.Run(ctx, t.pipeline.unscaled(latents))
	if err != nil {
		return nil, err
	}
	if err := t.finite("image", values, finite.Image); err != nil {
		return nil, err
	}
	images := make([]*imagefile.Image, len(t.Images))
	for i, m := range t.Images {
		images[i] = unpad(t.one(values, i), p.size.width, m.Width, m.Height)
	}
	return images, nil
}
