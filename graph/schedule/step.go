package schedule

import "fmt"

// Sampler takes latents x one step along the diffusion, in place, given the network's output for them: DDIM, Inversion,
// DPMSolver, DPMSolverInverse, SASolver or Consistency. It returns an error and leaves x unchanged if x and output
// differ in length or the schedule has no such step.
type Sampler func(s *Schedule, x, output []float32, step Step) error

// Step is one step of a run.
type Step struct {
	Timestep int // the network's input
	Steps    int // the steps of the whole run

	// Eta, 0 to 1, scales the noise of the step. Noise are normal numbers, as many as latents; with Eta 0 they are not
	// read.
	Eta   float64
	Noise []float32

	// Standardise is the shape [N,H,W,C] of latents whose channels are standardised before the noise is added; zeros: none
	// are.
	Standardise [4]int

	// Index counts the steps of the run from 0, Next is the time step whose noise level the step goes to, negative
	// before the first, and History is that of the run. DDIM and Inversion don't look at them.
	Index, Next int
	History     *History
}

// check returns an error if a step is invalid.
func (step Step) check(x, output []float32) error {
	switch {
	case step.Steps < 1:
		return fmt.Errorf("a run of %d steps, want 1 or more", step.Steps)
	case len(output) != len(x):
		return fmt.Errorf("%d elements of output for %d of latents", len(output), len(x))
	case !(step.Eta >= 0 && step.Eta <= 1):
		return fmt.Errorf("eta is %v, want 0 to 1", step.Eta)
	case step.Eta > 0 && len(step.Noise) != len(x):
		return fmt.Errorf("%d elements of noise for %d of latents", len(step.Noise), len(x))
	}
	if step.Standardise != [4]int{} {
		return checkShape(len(x), step.Standardise)
	}
	return nil
}

// level is ᾱ of a time step, and before the first one the configuration's.
func (s *Schedule) level(timestep int) (float32, error) {
	if timestep < 0 {
		return s.InitialAlphaCumprod, nil
	}
	return s.alphaCumprod(timestep)
}

// deviation is σ, the standard deviation of the fresh noise of a step between two noise levels: equation 16 of Song et
// al. (2021). noisy and clean are ᾱ of the levels.
func deviation(eta float64, noisy, clean float32) float32 {
	if eta == 0 {
		return 0
	}
	variance := (1 - clean) / (1 - noisy) * (1 - noisy/clean)
	return float32(eta) * sqrt(max(variance, 0))
}

// move takes x between two noise levels, from and to: equation 12 of Song et al. (2021). sigma is the deviation of the
// noise that is added at the end.
func (s *Schedule) move(x, output []float32, from, to, sigma float32, clip bool, step Step) error {
	split := s.splitter(from)
	limit := float32(s.Config.ClipSampleRange)
	// 1−ᾱ−σ² is 0 for eta 1 from pure noise, and rounding can make it negative.
	signal, direction := sqrt(to), sqrt(max(1-to-float32(sigma*sigma), 0))
	for i := range x {
		original, noise := split(x[i], output[i])
		if clip {
			original = min(max(original, -limit), limit)
		}
		x[i] = float32(signal*original) + float32(direction*noise)
	}
	if step.Standardise != [4]int{} {
		if err := Standardise(x, step.Standardise); err != nil {
			return err
		}
	}
	if step.Eta > 0 {
		for i, n := range step.Noise {
			x[i] += float32(sigma * n)
		}
	}
	return nil
}

// splitter returns the function that computes the noise-free sample x₀ and the noise ε from a sample at noise level
// alpha and the network's output for it.
func (s *Schedule) splitter(alpha float32) func(x, output float32) (original, noise float32) {
	signal, sigma := sqrt(alpha), sqrt(1-alpha)
	switch s.Config.PredictionType {
	case VPrediction:
		return func(x, v float32) (float32, float32) {
			return float32(signal*x) - float32(sigma*v), float32(signal*v) + float32(sigma*x)
		}
	case Sample:
		return func(x, original float32) (float32, float32) {
			return original, (x - float32(signal*original)) / sigma
		}
	default: // Epsilon: New lets no other through
		return func(x, noise float32) (float32, float32) {
			return (x - float32(sigma*noise)) / signal, noise
		}
	}
}
