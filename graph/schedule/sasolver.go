package schedule

import (
	"fmt"
	"math"
)

// SASolver takes x a step from noise towards the sample: algorithm 1 of Xue et al., "SA-Solver: Stochastic Adams Solver
// for Fast Sampling of Diffusion Models" (2023), with data prediction and a predictor and a corrector of order 2, and
// SASolverScheduler.step of diffusers. The steps are those of SolverSA.Translation. The predictor is of order 1 in the
// first step and in the last.
//
// The paper's τ, which scales the noise of the differential equation, follows from eta: τ² = −log(1 − η²·(1 − e⁻²ʰ))
// / 2h for a step of length h in λ. With it a step at order 1 is DDIM's with the same eta. τ is η for short steps,
// and for all where η is 0 or 1. Simply τ = η would, from zero terminal SNR, where h is infinite, replace all noise
// at any η > 0, and with it the result of an inversion.
func SASolver(s *Schedule, x, output []float32, step Step) error {
	j, err := s.jump(x, output, step)
	if err != nil {
		return fmt.Errorf("SA-Solver step: %w", err)
	}
	if !(j.quotient() <= 1) {
		return fmt.Errorf("SA-Solver step: time step %d to %d leads towards noise", step.Timestep, step.Next)
	}
	// Half of (1+τ²)·h, with τ²·h = −log kept. In the terms of order 2, diffusers has (1+τ²)·h²/2 instead of the integral
	// of (1+τ²)·e^((1+τ²)(λ−λₜ))·(λ−λₛ), a difference of O(h³). From pure noise, this is the trapezoidal rule in ρ.
	half := -j.to.signal * math.Log(j.quotient()*j.kept) / 2
	if j.from.signal == 0 {
		half = j.original / 2
	}
	predictor := 0.0
	if step.Index > 0 && step.Index < step.Steps-1 {
		if predictor = half * j.stretch(); step.History.from.signal == 0 {
			predictor = j.original / 2 * j.stretch()
		}
	}
	s.take(x, output, j, predictor, true, s.Config.ClipSample)
	step.History.corrector = half
	return nil
}
