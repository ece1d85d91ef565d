package schedule

import (
	"fmt"
	"math"
)

// AddNoise sets dst to √ᾱ·sample + √(1−ᾱ)·noise: the forward process q(xₜ|x₀), equation 4 of Ho et al., "Denoising Diffusion
// Probabilistic Models" (2020), and add_noise of diffusers. The slices hold len(timesteps) samples of equal size, one after another,
// each with its time step in 0 … T−1. dst may be sample or noise.
func (s *Schedule) AddNoise(dst, sample, noise []float32, timesteps []int) error {
	err := s.mix(dst, sample, noise, timesteps, func(x, n, signal, sigma float32) float32 {
		return float32(signal*x) + float32(sigma*n)
	})
	if err != nil {
		return fmt.Errorf("add noise: %w", err)
	}
	return nil
}

// Velocity sets dst to √ᾱ·noise − √(1−ᾱ)·sample: what a v-prediction network is to predict, of Salimans and Ho, "Progressive
// Distillation for Fast Sampling of Diffusion Models" (2022), appendix D, and get_velocity of diffusers. The slices are as in AddNoise.
func (s *Schedule) Velocity(dst, sample, noise []float32, timesteps []int) error {
	err := s.mix(dst, sample, noise, timesteps, func(x, n, signal, sigma float32) float32 {
		return float32(signal*n) - float32(sigma*x)
	})
	if err != nil {
		return fmt.Errorf("velocity: %w", err)
	}
	return nil
}

// mix applies f to each element with √ᾱ and √(1−ᾱ) of its time step.
func (s *Schedule) mix(dst, sample, noise []float32, timesteps []int, f func(x, n, signal, sigma float32) float32) error {
	if len(timesteps) == 0 || len(sample)%len(timesteps) != 0 || len(noise) != len(sample) || len(dst) != len(sample) {
		return fmt.Errorf("%d elements of sample, %d of noise, %d of the result for %d time steps",
			len(sample), len(noise), len(dst), len(timesteps))
	}
	size := len(sample) / len(timesteps)
	for i, t := range timesteps {
		if err := s.trained(t); err != nil {
			return err
		}
		signal, sigma := sqrt(s.AlphasCumprod[t]), sqrt(1-s.AlphasCumprod[t])
		for j := i * size; j < (i+1)*size; j++ {
			dst[j] = f(sample[j], noise[j], signal, sigma)
		}
	}
	return nil
}

// trained checks that a time step is one of training.
func (s *Schedule) trained(timestep int) error {
	if n := len(s.AlphasCumprod); timestep < 0 || timestep >= n {
		return fmt.Errorf("time step %d, want 0 to %d", timestep, n-1)
	}
	return nil
}

// SNR is the signal-to-noise ratio ᾱ/(1−ᾱ) of a time step in 0 … T−1: compute_snr of diffusers.
func (s *Schedule) SNR(timestep int) (float64, error) {
	if err := s.trained(timestep); err != nil {
		return 0, fmt.Errorf("signal-to-noise ratio: %w", err)
	}
	a := float64(s.AlphasCumprod[timestep])
	return a / (1 - a), nil
}

// MinSNRWeight is the weight of a time step's loss, γ a number such as 5: min(SNR, γ)/SNR for epsilon prediction, min(SNR, γ)/(SNR+1)
// for v-prediction, of Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy" (2023), section 3.4, as the
// training scripts of diffusers have it. With zero terminal SNR it is 0 at the last time step for v-prediction, and 0/0, NaN, for
// epsilon.
func (s *Schedule) MinSNRWeight(timestep int, gamma float64) (float64, error) {
	snr, err := s.SNR(timestep)
	if err != nil {
		return 0, err
	}
	switch s.Config.PredictionType {
	case Epsilon:
		return math.Min(snr, gamma) / snr, nil
	case VPrediction:
		return math.Min(snr, gamma) / (snr + 1), nil
	default:
		return 0, fmt.Errorf("min-SNR weight: no weight for prediction type %s, only for %s and %s", s.Config.PredictionType, Epsilon, VPrediction)
	}
}
