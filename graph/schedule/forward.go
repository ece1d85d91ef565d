package schedule

import (
	"fmt"
	"math"
)

// AddNoise sets dst to √ᾱ·sample + √(1−ᾱ)·noise: the forward process q(xₜ|x₀), equation 4 of Ho et al., "Denoising
// Diffusion Probabilistic Models" (2020), and add_noise of diffusers. The slices hold len(timesteps) samples of equal
// size, each with its time step in 0 … T−1. dst may be sample or noise.
func (s *Schedule) AddNoise(dst, sample, noise []float32, timesteps []int) error {
	err := s.mix(dst, sample, noise, timesteps, func(x, n, signal, sigma float32) float32 {
		return float32(signal*x) + float32(sigma*n)
	})
	if err != nil {
		return fmt.Errorf("add noise: %w", err)
	}
	return nil
}

// Velocity sets dst to √ᾱ·noise − √(1−ᾱ)·sample: the target of a v-prediction network, of Salimans and Ho, "Progressive
// Distillation for Fast Sampling of Diffusion Models" (2022), appendix D, and get_velocity of diffusers. The slices are
// as in AddNoise.
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
func (s *Schedule) mix(dst, sample, noise []float32, timesteps []int,
	f func(x, n, signal, sigma float32) float32,
) error {
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

// trained returns an error unless the time step is one of training.
func (s *Schedule) trained(timestep int) error {
	if n := len(s.AlphasCumprod); timestep < 0 || timestep >= n {
		return fmt.Errorf("time step %d, want 0 to %d", timestep, n-1)
	}
	return nil
}

// MinSNRWeight is the weight of a time step's loss: min(SNR, γ)/SNR for epsilon prediction, min(SNR, γ)/(SNR+1) for
// v-prediction, with the signal-to-noise ratio ᾱ/(1−ᾱ) and γ a number such as 5: Hang et al., "Efficient Diffusion
// Training via Min-SNR Weighting Strategy" (2023), section 3.4, as in the training scripts of diffusers. With zero
// terminal SNR the last time step has weight 0 for v-prediction, and 0/0, NaN, for epsilon.
func (s *Schedule) MinSNRWeight(timestep int, gamma float64) (float64, error) {
	if err := s.trained(timestep); err != nil {
		return 0, fmt.Errorf("min-SNR weight: %w", err)
	}
	a := float64(s.AlphasCumprod[timestep])
	snr := a / (1 - a)
	switch s.Config.PredictionType {
	case Epsilon:
		return math.Min(snr, gamma) / snr, nil
	case VPrediction:
		return math.Min(snr, gamma) / (snr + 1), nil
	default:
		return 0, fmt.Errorf("min-SNR weight: prediction type %s: want %s or %s", s.Config.PredictionType, Epsilon,
			VPrediction)
	}
}
