package train

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/finite"
)

// autoencoder trains a variational autoencoder (Kingma and Welling 2014), encoder and decoder in one graph.
//
//	image ─ encoder ─ moments ─┬─ mean + std·noise ─ decoder ─ mean squared error ─┐
//	                           └─ divergence from the standard normal distribution ┴─ loss
//
// With Config.TextureWeight the loss also has the texture's distance: see texture.go. With Config.DecoderOnly the
// encoder stays as it is, so that diffusion models of its latents remain valid.
//
// The squared error of values from −1 to 1 is what PSNR measures. As in Rombach et al. 2022 (appendix G) the divergence
// is summed over an image's latents and the error over its values; the weight, 1e-6 there, only keeps latents from
// growing without end.
type autoencoder struct {
	config  Config
	network vae.Config
	texture *texture // nil without its weight
}

func newAutoencoder(t *Trainer, folder string) (*autoencoder, error) {
	n, err := vae.ReadConfig(filepath.Join(folder, configFile))
	if err != nil {
		return nil, err
	}
	if n.InChannels != n.OutChannels {
		return nil, fmt.Errorf("%s: in_channels is %d and out_channels %d: want equal numbers",
			folder, n.InChannels, n.OutChannels)
	}
	a := &autoencoder{config: t.config, network: n}
	if t.config.TextureWeight > 0 {
		a.texture = newTexture(t.guideOptions)
	}
	return a, nil
}

// programs are those that the texture's distance needs.
func (a *autoencoder) programs() []*vm.Program { return a.texture.programs() }

func (a *autoencoder) params() (gorgonia.Nodes, error) {
	plain := *a
	plain.texture = nil // its filters need more pixels
	l, err := plain.lossGraph(size{batch: 1, height: a.network.Factor(), width: a.network.Factor()}, 1)
	if err != nil {
		return nil, err
	}
	return l.scope.Params(), nil
}

func (a *autoencoder) size(e Example, d Draws) (size, error) {
	n, h, w, c := e.Shape[0], e.Shape[1], e.Shape[2], e.Shape[3]
	k := a.network.Factor()
	latents := a.latents(e)
	switch {
	case n < 1 || h < k || w < k || h%k != 0 || w%k != 0 || c != a.network.InChannels:
		return size{}, fmt.Errorf("images %v: want [N,H,W,%d], H and W multiples of %d", e.Shape, a.network.InChannels, k)
	case len(e.Images) != n*h*w*c:
		return size{}, fmt.Errorf("%d values of images: want %d for %v", len(e.Images), n*h*w*c, e.Shape)
	case a.texture != nil && min(h, w) < textureLeast:
		return size{}, fmt.Errorf("images %v: texture-weight wants %d pixels or more", e.Shape, textureLeast)
	case len(d.Noise) != latents:
		return size{}, fmt.Errorf("%d draws: want %d for images %v", len(d.Noise), latents, e.Shape)
	}
	return size{batch: n, height: h, width: w}, nil
}

// latents counts the numbers in the latents of an example's images.
func (a *autoencoder) latents(e Example) int {
	k := a.network.Factor()
	return e.Shape[0] * (e.Shape[1] / k) * (e.Shape[2] / k) * a.network.LatentChannels
}

func (a *autoencoder) lossGraph(z size, share float64) (*lossGraph, error) {
	s := op.NewScope("vae")
	image := s.Input("image", z.batch, z.height, z.width, a.network.InChannels)
	weights := s.Input("weights", z.batch)
	moments := vae.Encode(s, image, a.network)
	k := a.network.Factor()
	noise := s.Input("noise", z.batch, z.height/k, z.width/k, a.network.LatentChannels)
	decoded := vae.Decode(s, vae.Sample(s, moments, noise), a.network)
	reconstruction, divergence := op.MSE{}.Apply(s, decoded, image, weights), op.KLDivergence{}.Apply(s, moments)
	weight := a.config.KLWeight * share / float64(z.height*z.width*a.network.InChannels)
	loss := reconstruction
	if weight > 0 {
		loss = op.Add{}.Apply(s, reconstruction, op.Scale{Factor: weight}.Apply(s, divergence))
	}
	l := &lossGraph{scope: s, values: gorgonia.Nodes{loss, reconstruction, divergence}}
	var term textureTerm
	if a.texture != nil {
		term = a.texture.term(s, decoded, weights, z)
		l.values[0] = op.Add{}.Apply(s, loss, op.Scale{Factor: a.config.TextureWeight}.Apply(s, term.distance))
		l.values = append(l.values, term.distance)
	}
	shares := make([]float32, z.batch)
	for i := range shares {
		shares[i] = float32(share)
	}
	l.feed = func(ctx context.Context, e Example, d Draws) (vm.Feeds, error) {
		f := vm.Feeds{}.Set(image, e.Images).Set(noise, d.Noise).Set(weights, shares)
		if a.texture == nil {
			return f, nil
		}
		return f, term.feed(ctx, f, e.Images)
	}
	return l, s.Err()
}

// draw draws the noise of the latents.
func (a *autoencoder) draw(g *rng.Torch, e Example) (Draws, error) {
	k := a.network.Factor()
	n, h, w, c := e.Shape[0], e.Shape[1]/k, e.Shape[2]/k, a.network.LatentChannels
	d := Draws{Noise: make([]float32, n*h*w*c)}
	if err := g.RandnNHWC(d.Noise, n, h, w, c); err != nil {
		return d, fmt.Errorf("noise: %w", err)
	}
	return d, nil
}

func (a *autoencoder) skip(g *rng.Torch, e Example) { g.SkipRandn(a.latents(e)) }

// Reconstruct encodes an example's images and decodes the means of their latents, with the parameters or their average.
// It returns values like Example.Images, [N,H,W,3], and changes nothing. The trainer's objective must be Autoencoder.
func (t *Trainer) Reconstruct(ctx context.Context, e Example, slot Slot) (_ []float32, err error) {
	a, ok := t.objective.(*autoencoder)
	if !ok {
		return nil, fmt.Errorf("reconstruction: a %s has none: want an %s", t.config.Objective, Autoencoder)
	}
	draws := Draws{Noise: make([]float32, a.latents(e))} // the mean
	z, err := a.size(e, draws)
	if err != nil {
		return nil, err
	}
	s := op.NewScope("vae")
	image := s.Input("image", z.batch, z.height, z.width, a.network.InChannels)
	k := a.network.Factor()
	noise := s.Input("noise", z.batch, z.height/k, z.width/k, a.network.LatentChannels)
	decoded := vae.Decode(s, vae.Sample(s, vae.Encode(s, image, a.network), noise), a.network)
	if err := s.Err(); err != nil {
		return nil, err
	}
	if err := t.state.bind(s.Params(), slot); err != nil {
		return nil, err
	}
	p, err := t.compile(s.Params(), gorgonia.Nodes{decoded}, nil, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	out, err := p.Run(ctx, vm.Feeds{}.Set(image, e.Images).Set(noise, draws.Noise))
	if err != nil {
		return nil, err
	}
	values := slices.Clone(out[0].Float32s())
	return values, finite.Check("reconstruction", values, finite.Any)
}

func (a *autoencoder) title(Task) string { return string(Autoencoder) }

func (a *autoencoder) trains(name string) bool { return !a.config.DecoderOnly || vae.IsDecoder(name) }

// losses names the mean squared error, the divergence in nats per image, and the texture's distance if it counts.
func (a *autoencoder) losses(_ Task, values []float64) map[string]float64 {
	n := float64(a.config.Accumulate) // errors are shared among the micro-steps of a step
	l := map[string]float64{"reconstruction": n * values[1], "divergence": values[2]}
	if a.texture != nil {
		l["texture"] = n * values[3]
	}
	return l
}

// Images makes an autoencoder's examples of batches: a micro-step of N pairs learns from N H&E and N IHC images.
func Images(s BatchSource) Examples { return images{s} }

type images struct{ BatchSource }

// Example returns the images of a position.
func (s images) Example(ctx context.Context, at Position, _ Task, _ *rng.Torch) (Example, error) {
	p, err := s.Batch(ctx, at)
	if err != nil {
		return Example{}, err
	}
	return ImagesOf(p)
}

// Skip is the example without its images, for which nothing is drawn.
func (s images) Skip(ctx context.Context, at Position, task Task, noise *rng.Torch) (Example, error) {
	z, ok := s.BatchSource.(Sizer)
	if !ok {
		return s.Example(ctx, at, task, noise)
	}
	n, height, width := z.Size(at)
	return Example{Shape: [4]int{2 * n, height, width, 3}}, nil
}

// ImagesOf makes an autoencoder's example of a batch: all H&E images, then all IHC images.
func ImagesOf(p Batch) (Example, error) {
	if err := p.check(); err != nil {
		return Example{}, err
	}
	return Example{Shape: [4]int{2 * p.N, p.Height, p.Width, 3}, Images: vae.Signed(slices.Concat(p.HE, p.IHC))}, nil
}
