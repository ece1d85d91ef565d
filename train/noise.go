package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
)

// Example is what a micro-step learns from: a U-Net from latents, an autoencoder from images, a U-Net that is trained
// end to end from both, where Shape is that of the latents.
type Example struct {
	Shape     [4]int    // of the latents or images: N, H, W, C
	Latents   []float32 // [N,H,W,C], the target, multiplied by the autoencoder's scaling_factor
	Condition []float32 // [N,H,W,C], the H&E, not multiplied; nil is zeros
	Context   []float32 // [N,tokens,cross_attention_dim]
	Images    []float32 // [N,H,W,C], from −1 to 1
	Labels    []int     // [N], what stain the latents are of; nil for a U-Net without class labels
}

// Draws are the random numbers of a micro-step. An autoencoder needs only the noise.
type Draws struct {
	Noise        []float32 // [N,H,W,C] of the latents
	Offset       []float32 // [N,C]
	Perturbation []float32 // [N,H,W,C]
	Timesteps    []int     // [N]
}

// Draw draws for latents [N,H,W,C] what training.py draws after the autoencoder's sample, in its order: offset and
// perturbation even if their scales are 0.
func Draw(g *rng.Torch, shape [4]int, timesteps int) (Draws, error) {
	n, h, w, c := shape[0], shape[1], shape[2], shape[3]
	d := Draws{
		Noise: make([]float32, n*h*w*c), Offset: make([]float32, n*c), Perturbation: make([]float32, n*h*w*c),
		Timesteps: make([]int, n),
	}
	if err := g.RandnNHWC(d.Noise, n, h, w, c); err != nil {
		return d, fmt.Errorf("noise: %w", err)
	}
	if err := g.RandnNHWC(d.Offset, n, 1, 1, c); err != nil {
		return d, fmt.Errorf("noise offset: %w", err)
	}
	if err := g.RandnNHWC(d.Perturbation, n, h, w, c); err != nil {
		return d, fmt.Errorf("perturbation: %w", err)
	}
	for i := range d.Timesteps {
		d.Timesteps[i] = int(g.RandInt(0, int64(timesteps)))
	}
	return d, nil
}

// skip passes over what Draw would draw.
func skip(g *rng.Torch, shape [4]int, timesteps int) {
	n, c := shape[0], shape[3]
	g.SkipRandn(elements(shape))
	g.SkipRandn(n * c)
	g.SkipRandn(elements(shape))
	for range n {
		g.RandInt(0, int64(timesteps))
	}
}

// checkLatents compares the sizes of a U-Net's example and its draws.
func (e Example) checkLatents(d Draws, channels, contextDim, classes int) error {
	n, h, w, c := e.Shape[0], e.Shape[1], e.Shape[2], e.Shape[3]
	size := n * h * w * c
	switch {
	case n < 1 || h < 1 || w < 1 || c != channels:
		return fmt.Errorf("latents %v: want [N,H,W,%d]", e.Shape, channels)
	case len(e.Latents) != size:
		return fmt.Errorf("%d latents: want %d for %v", len(e.Latents), size, e.Shape)
	case e.Condition != nil && len(e.Condition) != size:
		return fmt.Errorf("condition of %d elements: want %d for %v, or none", len(e.Condition), size, e.Shape)
	case len(e.Context) == 0 || len(e.Context)%(n*contextDim) != 0:
		return fmt.Errorf("context of %d elements: want [%d,tokens,%d]", len(e.Context), n, contextDim)
	case classes > 0 && len(e.Labels) != n, classes == 0 && e.Labels != nil:
		return fmt.Errorf("class labels of %d samples: want those of %d for a U-Net with %d classes", len(e.Labels), n,
			classes)
	case len(d.Noise) != size || len(d.Perturbation) != size || len(d.Offset) != n*c || len(d.Timesteps) != n:
		return fmt.Errorf("%d, %d and %d draws and %d timesteps: want those of latents %v",
			len(d.Noise), len(d.Offset), len(d.Perturbation), len(d.Timesteps), e.Shape)
	}
	return nil
}

// diffused are the network's input and target.
type diffused struct {
	sample  []float32 // [N,H,W,2C]: noisy latents, condition
	target  []float32 // [N,H,W,C]
	weights []float32 // [N], of the samples' losses
}

// invert makes noise [H·W,C] like an inversion's where draw, from a normal distribution, is above 0. Exact inversion
// leads to white noise that is not independent of the image: with the latents of the demonstration's H&E it has a
// correlation of 0.7 to 0.8. So the standardised condition is added, weighted such that correlations are 0.51 to 0.8.
// Noise of an image without any contrast stays as it is.
func invert(noise, condition []float32, channels int, draw float64) {
	if draw <= 0 {
		return
	}
	moments, err := schedule.MomentsOf(condition, channels, nil)
	if err != nil { // a channel is constant
		return
	}
	he := slices.Clone(condition)
	moments.Standardise(he)
	weight := 0.6 + 0.5*draw
	for i, h := range he {
		noise[i] = float32((float64(noise[i]) + float64(weight*float64(h))) / math.Sqrt(1+weight*weight))
	}
}

// diffuse adds noise to an example. Offset and perturbation change the noise itself, hence the target as well.
func (c Config) diffuse(s *schedule.Schedule, e Example, d Draws) (diffused, error) {
	n, pixels, channels := e.Shape[0], e.Shape[1]*e.Shape[2], e.Shape[3]
	noise := make([]float32, len(e.Latents))
	offset, perturbation := float32(c.NoiseOffset), float32(c.InputPerturbation)
	for i, x := range d.Noise {
		x += float32(offset * d.Offset[i/(pixels*channels)*channels+i%channels])
		noise[i] = x + float32(perturbation*d.Perturbation[i])
	}
	if c.InvertedNoise && e.Condition != nil {
		for i := range n {
			from, to := i*pixels*channels, (i+1)*pixels*channels
			invert(noise[from:to], e.Condition[from:to], channels, float64(d.Offset[i*channels]))
		}
	}
	out := diffused{sample: make([]float32, 2*len(noise)), target: noise, weights: make([]float32, n)}
	noisy := make([]float32, len(noise))
	if err := s.AddNoise(noisy, e.Latents, noise, d.Timesteps); err != nil {
		return out, err
	}
	if c.Prediction == schedule.VPrediction {
		out.target = make([]float32, len(noise))
		if err := s.Velocity(out.target, e.Latents, noise, d.Timesteps); err != nil {
			return out, err
		}
	}
	for i := 0; i < len(noisy); i += channels {
		copy(out.sample[2*i:], noisy[i:i+channels])
		if e.Condition != nil {
			copy(out.sample[2*i+channels:], e.Condition[i:i+channels])
		}
	}
	for i, t := range d.Timesteps {
		weight := 1.0
		if c.SNRGamma > 0 {
			var err error
			if weight, err = s.MinSNRWeight(t, c.SNRGamma); err != nil {
				return out, err
			}
		}
		out.weights[i] = float32(weight)
	}
	return out, nil
}
