package vae

import (
	"math"

	"gorgonia.org/gorgonia"

	"github.com/histdist/histdist/graph/op"
)

// Sample draws latents from the posterior, DiagonalGaussianDistribution.sample: moments [N,h,w,2·latent_channels],
// standard normal noise [N,h,w,latent_channels] → [N,h,w,latent_channels], not multiplied by scaling_factor.
func Sample(root *op.Scope, moments, noise *gorgonia.Node) *gorgonia.Node {
	return op.PosteriorSample{}.Apply(root.Sub("posterior"), moments, noise)
}

// Moments splits an encoder's result as DiagonalGaussianDistribution does: moments [N,h,w,2·channels] → the mean,
// the logarithm of the variance, clamped, and the standard deviation, all [N,h,w,channels].
func Moments(moments []float32, channels int) (mean, logvar, std []float32) {
	for ; channels > 0 && len(moments) >= 2*channels; moments = moments[2*channels:] {
		mean = append(mean, moments[:channels]...)
		for _, v := range moments[channels : 2*channels] {
			v = min(max(v, op.MinLogVariance), op.MaxLogVariance)
			logvar = append(logvar, v)
			std = append(std, float32(math.Exp(float64(v/2))))
		}
	}
	return mean, logvar, std
}

// Latents draws latents from the posterior of moments [N,h,w,2·channels] with standard normal noise [N,h,w,channels],
// multiplied by scale, and returns the posterior's mean, which is not.
func Latents(moments, noise []float32, channels int, scale float64) (latents, mean []float32) {
	mean, _, deviation := Moments(moments, channels)
	latents = make([]float32, len(mean))
	for i, m := range mean {
		latents[i] = float32(scale) * (m + float32(deviation[i]*noise[i]))
	}
	return latents, mean
}
