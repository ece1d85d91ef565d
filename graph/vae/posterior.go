package vae

import "math"

// The logarithm of a variance is kept in this range, as diffusers' DiagonalGaussianDistribution does.
const minLogVariance, maxLogVariance = -30, 20

// Moments takes the encoder's moments [N,h,w,2·channels] apart: the means, the logarithms of the variances, kept in [−30,20], and the
// standard deviations, [N,h,w,channels] each. mean + std·noise is a sample.
func Moments(moments []float32, channels int) (mean, logvar, std []float32) {
	n := len(moments) / 2
	mean, logvar, std = make([]float32, 0, n), make([]float32, 0, n), make([]float32, 0, n)
	for i := 0; i+2*channels <= len(moments); i += 2 * channels {
		mean = append(mean, moments[i:i+channels]...)
		for _, v := range moments[i+channels : i+2*channels] {
			v = min(max(v, minLogVariance), maxLogVariance)
			logvar = append(logvar, v)
			std = append(std, float32(math.Exp(float64(0.5*v))))
		}
	}
	return mean, logvar, std
}
