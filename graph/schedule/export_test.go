package schedule

import (
	"errors"
	"fmt"
)

// What diffusers has and HistDiST doesn't use, with which its goldens check the parts that both share.

// DDIMInverse takes x a step from the sample towards noise: equation 12 of Song, Meng and Ermon, "Denoising Diffusion
// Implicit Models" (2021), the other way (their section 4.3), and DDIMInverseScheduler.step of diffusers. The network
// is told the time step that the step goes to, step.Timestep; x is 1000 // Steps time steps below. There is no noise.
func DDIMInverse(s *Schedule, x, output []float32, step Step) error {
	if step.Eta != 0 {
		return errors.New("DDIM inverse step: eta is not 0, but the inverse step adds no noise")
	}
	if err := s.invert(x, output, step, s.Config.ClipSample); err != nil {
		return fmt.Errorf("DDIM inverse step: %w", err)
	}
	return nil
}

// Original sets dst to the noise-free sample x₀ that the network's output for latents x at a time step means, clipped
// where the configuration says so: pred_original_sample of diffusers. dst may be x or output.
func (s *Schedule) Original(dst, x, output []float32, timestep int) error {
	if len(output) != len(x) || len(dst) != len(x) {
		return fmt.Errorf("original sample: %d elements of output and %d of the result for %d of latents", len(output),
			len(dst), len(x))
	}
	alpha, err := s.alphaCumprod(timestep)
	if err != nil {
		return fmt.Errorf("original sample: %w", err)
	}
	split, limit := s.splitter(alpha), float32(s.Config.ClipSampleRange)
	for i := range x {
		dst[i], _ = split(x[i], output[i])
		if s.Config.ClipSample {
			dst[i] = min(max(dst[i], -limit), limit)
		}
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
