package schedule

import "fmt"

// DDIM takes x a step from noise towards the sample: equations 12 and 16 of Song, Meng and Ermon, "Denoising Diffusion
// Implicit Models" (2021), and DDIMScheduler.step of diffusers. x is at noise level step.Timestep and goes to the level
// 1000 // Steps time steps below, which is not always the next of Timesteps; before the first time step SetAlphaToOne
// decides. With eta 0 the step is deterministic, with eta 1 it is DDPM's.
func DDIM(s *Schedule, x, output []float32, step Step) error {
	if err := step.check(x, output); err != nil {
		return fmt.Errorf("DDIM step: %w", err)
	}
	from, err := s.alphaCumprod(step.Timestep)
	if err != nil {
		return fmt.Errorf("DDIM step: %w", err)
	}
	to, err := s.level(step.Timestep - s.Config.NumTrainTimesteps/step.Steps)
	if err != nil {
		return fmt.Errorf("DDIM step: %w", err)
	}
	if err := s.move(x, output, from, to, deviation(step.Eta, from, to), s.Config.ClipSample, step); err != nil {
		return fmt.Errorf("DDIM step: %w", err)
	}
	return nil
}
