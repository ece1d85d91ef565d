package schedule

import (
	"errors"
	"fmt"
)

// DDIMInverse takes x a step from the sample towards noise: equation 12 of Song, Meng and Ermon, "Denoising Diffusion Implicit
// Models" (2021), the other way (their section 4.3), and DDIMInverseScheduler.step of diffusers. The network is told the time step
// that the step goes to, step.Timestep; x is 1000 // Steps time steps below. There is no noise.
func DDIMInverse(s *Schedule, x, output []float32, step Step) error {
	if step.Eta != 0 {
		return errors.New("DDIM inverse step: eta is not 0, but the inverse step adds no noise")
	}
	if err := s.invert(x, output, step, s.Config.ClipSample); err != nil {
		return fmt.Errorf("DDIM inverse step: %w", err)
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
	step.UseClippedOutput = false
	return s.move(x, output, from, to, deviation(step.Eta, to, from), clip, step)
}
