package schedule

import "fmt"

// Inversion takes x a step from the sample towards noise as HistDiST does: equation 12 of Song, Meng and Ermon,
// "Denoising Diffusion Implicit Models" (2021), the other way (their section 4.3), as in DDIMInverseScheduler.step of
// diffusers, but without clipping. The network is told the time step that the step goes to, step.Timestep; x is 1000 //
// Steps time steps below. A share eta of the noise is fresh, with the deviation of their equation 16 between the same
// two noise levels.
func Inversion(s *Schedule, x, output []float32, step Step) error {
	if err := s.invert(x, output, step, false); err != nil {
		return fmt.Errorf("inversion step: %w", err)
	}
	return nil
}

// invert takes x to the noise level of the step's time step.
func (s *Schedule) invert(x, output []float32, step Step, clip bool) error {
	if err := step.check(x, output); err != nil {
		return err
	}
	to, err := s.alphaCumprod(step.Timestep)
	if err != nil {
		return err
	}
	from, err := s.level(step.Timestep - s.Config.NumTrainTimesteps/step.Steps)
	if err != nil {
		return err
	}
	return s.move(x, output, from, to, deviation(step.Eta, to, from), clip, step)
}
