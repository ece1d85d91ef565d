package model

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/weights"
)

// ScalingFactor is Stable Diffusion's: it scales latents to a standard deviation of about 1. The official
// implementation uses it whatever the autoencoder's configuration says.
const ScalingFactor = 0.18215

const vaeClass = "AutoencoderKL"

// LatentStatistics are the mean and the standard deviation of each channel of an autoencoder's latents.
type LatentStatistics struct{ Mean, Deviation []float64 }

// RescaleLatents copies an autoencoder's folder and scales its latents, which had these statistics, to mean 0 and
// standard deviation 1/ScalingFactor. Its images stay the same, as quant_conv, the encoder's last layer, and
// post_quant_conv, the decoder's first, change together. dst must not exist; it appears when it is complete.
func RescaleLatents(ctx context.Context, name, dst string, l LatentStatistics, o ConvertOptions) error {
	c, err := vae.ReadConfig(filepath.Join(name, "config.json"))
	if err != nil {
		return err
	}
	if !c.UseQuantConv || !c.UsePostQuantConv {
		return fmt.Errorf("%s: want use_quant_conv and use_post_quant_conv: they are the layers that scale latents", name)
	}
	gain, err := l.gain(c.LatentChannels)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s, err := weights.Open(name, weights.Options{Variant: o.Variant})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	first, _, err := s.Float32("post_quant_conv.weight")
	if err != nil {
		return err
	}
	n := c.LatentChannels
	change := func(name string, x []float32, shape []int) ([]float32, []int, error) {
		switch name {
		case "quant_conv.weight": // [2n,2n,1,1]; the rows of the means
			for i := range 2 * n * n {
				x[i] = float32(float64(x[i]) * gain[i/(2*n)])
			}
		case "quant_conv.bias":
			for i := range n {
				x[i] = float32((float64(x[i]) - l.Mean[i]) * gain[i])
				x[n+i] = float32(float64(x[n+i]) + 2*math.Log(gain[i])) // logarithms of variances
			}
		case "post_quant_conv.weight": // [n,n,1,1]
			for i := range x {
				x[i] = float32(float64(x[i]) / gain[i%n])
			}
		case "post_quant_conv.bias":
			for i := range x {
				sum := float64(x[i])
				for j, mean := range l.Mean {
					sum += float64(first[i*n+j]) * mean
				}
				x[i] = float32(sum)
			}
		}
		return x, shape, nil
	}
	return rewrite(ctx, name, dst, o, &edit{class: vaeClass, tensor: change, folder: func(folder string) error {
		return editJSON(filepath.Join(folder, "config.json"), map[string]any{"scaling_factor": ScalingFactor})
	}})
}

// gain returns the factors for the latents of n channels.
func (l LatentStatistics) gain(n int) ([]float64, error) {
	if len(l.Mean) != n || len(l.Deviation) != n {
		return nil, fmt.Errorf("statistics of %d and %d channels of latents: want %d", len(l.Mean), len(l.Deviation), n)
	}
	gain := make([]float64, n)
	for i, d := range l.Deviation {
		if !(d > 0) || math.IsInf(d, 1) {
			return nil, fmt.Errorf("channel %d of the latents has the standard deviation %g: want more than 0", i, d)
		}
		gain[i] = 1 / (ScalingFactor * d)
	}
	return gain, nil
}
