package infer

import (
	"context"
	"fmt"
	"slices"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/finite"
	"github.com/histdist/histdist/internal/option"
)

// Windows are a pipeline's networks for windows of one size, for a sampler that goes over an image larger than one: see
// package mosaic. It is valid until the pipeline translates an image of another size or is closed.
type Windows struct {
	Settings               Settings // with what the model's folder decides
	Schedule               *schedule.Schedule
	Inversion, Translation Trajectory

	Batch                     int
	Height, Width             int // of a window in pixels, multiples of the VAE's factor
	LatentHeight, LatentWidth int
	Channels                  int     // of latents
	Scale                     float64 // the VAE's scaling factor of latents
	TokenValues               int     // values of a window's tokens

	pipeline *Pipeline
	programs *programs
	text     []float32 // [batch,77,768]
	label    int       // of the marker
}

// Windows compiles the networks, unless they are the last ones, and takes what settings leave open from the model.
func (p *Pipeline) Windows(ctx context.Context, s Settings, batch, height, width int) (*Windows, error) {
	s, _, err := p.Resolve(s)
	if err != nil {
		return nil, err
	}
	_, labels, err := p.labels(s.Marker)
	if err == nil && len(labels) > 1 {
		err = option.Wrong("marker", "%s: windows are translated to one marker at a time: want one", s.Marker)
	}
	if err != nil {
		return nil, err
	}
	noise, err := p.schedule(s)
	if err != nil {
		return nil, err
	}
	inversion, translation, err := s.trajectories(noise)
	if err != nil {
		return nil, err
	}
	if p.damaged != nil {
		return nil, p.damaged
	}
	if err := p.prepare(batch, height, width, s.inverts()); err != nil {
		return nil, err
	}
	var text []float32
	if s.inverts() {
		if text, err = p.textStates(ctx, s.PromptInversion); err != nil {
			return nil, err
		}
	}
	g, vit := p.programs, p.model.ViT
	return &Windows{
		Settings: s, Schedule: noise, Inversion: inversion, Translation: translation,
		Batch: batch, Height: g.size.height, Width: g.size.width,
		LatentHeight: g.latentH, LatentWidth: g.latentW, Channels: g.latentC, Scale: p.model.VAE.ScalingFactor,
		TokenValues: vit.Tokens() * vit.HiddenSize,
		pipeline:    p, programs: g, text: slices.Repeat(text, batch), label: labels[0],
	}, nil
}

// Factor is how many pixels one latent covers in each direction.
func (p *Pipeline) Factor() int { return p.model.VAE.Factor() }

// TrainingSize is the side in pixels of the images that the model was trained with, as its U-Net's configuration says.
func (p *Pipeline) TrainingSize() int { return p.model.UNet.SampleSize * p.Factor() }

// TokenBytes is the memory of a window's tokens.
func (p *Pipeline) TokenBytes() int { return 4 * p.model.ViT.Tokens() * p.model.ViT.HiddenSize }

// MPP is micrometres per pixel of the images that the model was trained with, 0 if its folder doesn't say.
func (p *Pipeline) MPP() float64 { return p.model.Purpose.MPP }

// Marker is what the model stains for, such as ER; "" if its folder doesn't say.
func (p *Pipeline) Marker() string { return p.model.Purpose.Marker }

// Precision is what the networks compute in.
func (p *Pipeline) Precision() vm.Precision { return p.options.Precision }

// Encode returns the moments of up to Batch images, whose sizes padded to the VAE's factor are a window's:
// [n,h,w,2·Channels].
func (w *Windows) Encode(ctx context.Context, images []*imagefile.Image) ([]float32, error) {
	var pix []uint8
	for _, m := range images {
		pix = pad(pix, m, w.Height, w.Width)
	}
	signed := vae.Signed(pix)
	out, err := w.programs.encoder.Run(ctx, w.fill(signed, len(images)))
	return w.checked(encoderNet, "moments", out, len(images), finite.Squares, err)
}

// Tokens returns the vision transformer's hidden states of up to Batch images: [n,TokenValues]; zeros where the
// settings leave them out.
func (w *Windows) Tokens(ctx context.Context, images []*imagefile.Image) ([]float32, error) {
	if w.Settings.Without.has(withoutTokens) {
		return make([]float32, len(images)*w.TokenValues), nil
	}
	pixels, err := w.pipeline.preprocess(images)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", vitNet, err)
	}
	out, err := w.programs.vit.Run(ctx, w.fill(pixels, len(images)))
	return w.checked(vitNet, "hidden states", out, len(images), finite.Squares, err)
}

// Denoise returns the U-Net's output for up to Batch windows at a timestep: latents and condition [n,h,w,Channels] and
// tokens [n,TokenValues] → [n,h,w,Channels]. With tokens nil it is the network of the inversion, which has no
// condition.
func (w *Windows) Denoise(
	ctx context.Context, timestep, n int, latents, condition, tokens []float32,
) ([]float32, error) {
	network, states, label := w.programs.translation, tokens, w.label
	if tokens == nil {
		network, condition, label = w.programs.inversion, make([]float32, len(latents)), model.LabelHE
	}
	sample := make([]float32, 2*len(latents))
	concatChannels(sample, latents, condition, w.Channels)
	if tokens == nil {
		states = w.text
	} else {
		states = w.fill(states, n)
	}
	timesteps := slices.Repeat([]float32{float32(timestep)}, w.Batch)
	feeds := vm.Feeds{}.Set(network.Sample, w.fill(sample, n)).Set(network.Timesteps, timesteps)
	feeds.Set(network.Context, states)
	if err := network.feedLabel(feeds, label); err != nil {
		return nil, err
	}
	values, err := network.Run(ctx, feeds)
	var out []float32
	if err == nil {
		out = slices.Clone(values[0].Float32s())
	}
	return w.checked(unetNet, "output", out, n, finite.Squares, err)
}

// Decode returns the images of up to Batch windows: latents [n,h,w,Channels] → [n,Height,Width,3], about [−1,1].
func (w *Windows) Decode(ctx context.Context, n int, latents []float32) ([]float32, error) {
	out, err := w.programs.decoder.Run(ctx, w.fill(w.pipeline.unscaled(latents), n))
	return w.checked(decoderNet, "image", out, n, finite.Image, err)
}

// fill repeats the first of n parts of x until there are Batch: they are computed and dropped.
func (w *Windows) fill(x []float32, n int) []float32 {
	if n == w.Batch {
		return x
	}
	part := x[:len(x)/n]
	x = slices.Clone(x)
	for range w.Batch - n {
		x = append(x, part...)
	}
	return x
}

// checked returns the first n of Batch parts of a network's output.
func (w *Windows) checked(net network, what string, out []float32, n, limit int, err error) ([]float32, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", net, err)
	}
	out = out[:len(out)/w.Batch*n]
	if err := finite.Check(what, out, limit); err != nil {
		return nil, fmt.Errorf("%s: %w", net, w.pipeline.notFinite(0, err))
	}
	return out, nil
}
