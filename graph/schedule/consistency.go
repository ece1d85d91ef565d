package schedule

import "fmt"

// Consistency takes x a step from noise towards the sample with a network that was trained for it, whose x₀ is good
// at every noise level: multistep consistency sampling, algorithm 1 of Song et al., "Consistency Models" (2023), and
// LCMScheduler.step of diffusers with the boundary conditions c_skip = 0 and c_out = 1. The network's x₀ gets noise of
// the next level, √ᾱ·x₀ + √(1−ᾱ)·noise; after the last step, whose Next is negative, it is the sample. The noise of
// each step is new, whatever eta: see Solver.Eta.
func Consistency(s *Schedule, x, output []float32, step Step) error {
	if err := s.renew(x, output, step); err != nil {
		return fmt.Errorf("consistency step: %w", err)
	}
	return nil
}

// renew replaces x by the network's x₀ with noise of the next level.
func (s *Schedule) renew(x, output []float32, step Step) error {
	if err := step.check(x, output); err != nil {
		return err
	}
	if step.Standardise != [4]int{} {
		return errStandardise
	}
	if step.Next >= 0 && len(step.Noise) != len(x) {
		return fmt.Errorf("%d elements of noise for %d of latents", len(step.Noise), len(x))
	}
	from, err := s.alphaCumprod(step.Timestep)
	if err != nil {
		return err
	}
	to := float32(1)
	if step.Next >= 0 {
		if to, err = s.alphaCumprod(step.Next); err != nil {
			return err
		}
	}
	split, limit := s.splitter(from), float32(s.Config.ClipSampleRange)
	signal, sigma := sqrt(to), sqrt(1-to)
	for i := range x {
		original, _ := split(x[i], output[i])
		if s.Config.ClipSample {
			original = min(max(original, -limit), limit)
		}
		if x[i] = original; step.Next >= 0 {
			x[i] = float32(signal*original) + float32(sigma*step.Noise[i])
		}
	}
	return nil
}
