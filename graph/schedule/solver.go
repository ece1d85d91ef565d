package schedule

import (
	"fmt"
	"slices"
)

// Solver is a way to go through the noise levels, by name.
type Solver string

// The solvers: DDIM, the paper's; DPM-Solver++(2M), without noise; SA-Solver, with noise, for translations only.
const (
	SolverDDIM Solver = "ddim"
	SolverDPM  Solver = "dpm"
	SolverSA   Solver = "sa"
)

// UnmarshalText takes one of the three names.
func (v *Solver) UnmarshalText(text []byte) error {
	names := []Solver{SolverDDIM, SolverDPM, SolverSA}
	if !slices.Contains(names, Solver(text)) {
		return fmt.Errorf("solver %q: want one of %v", text, names)
	}
	*v = Solver(text)
	return nil
}

// Translation returns the sampler and the n steps of a run from noise to sample, without noise and history.
func (v Solver) Translation(s *Schedule, n int) (Sampler, []Step, error) {
	switch v {
	case SolverDDIM:
		timesteps, err := s.Timesteps(n)
		if err != nil {
			return nil, nil, err
		}
		return DDIM, plan(timesteps[:n], nil), nil
	case SolverDPM, SolverSA:
		levels, err := s.solverLevels(n)
		if err != nil {
			return nil, nil, err
		}
		slices.Reverse(levels)
		steps := plan(levels, append(slices.Clone(levels[1:]), -1))
		if v == SolverSA {
			return SASolver, steps, nil
		}
		return DPMSolver, steps, nil
	}
	return nil, nil, fmt.Errorf("solver %q has no translation", v)
}

// Inversion returns the sampler and the n steps of a run from sample to noise, without noise and history. DPM-Solver's
// begin at time step 0 and are those of its translation otherwise, reversed.
func (v Solver) Inversion(s *Schedule, n int) (Sampler, []Step, error) {
	switch v {
	case SolverDDIM:
		timesteps, err := s.InverseTimesteps(n)
		if err != nil {
			return nil, nil, err
		}
		return Inversion, plan(timesteps[:n], nil), nil
	case SolverDPM:
		levels, err := s.solverLevels(n)
		if err != nil {
			return nil, nil, err
		}
		return DPMSolverInverse, plan(append([]int{0}, levels[:n-1]...), levels), nil
	}
	return nil, nil, fmt.Errorf("solver %q has no inversion", v)
}

// plan are the steps of a run: from each time step to the next one, if the sampler asks.
func plan(timesteps, next []int) []Step {
	steps := make([]Step, len(timesteps))
	for i, t := range timesteps {
		steps[i] = Step{Timestep: t, Steps: len(timesteps), Index: i}
		if next != nil {
			steps[i].Next = next[i]
		}
	}
	return steps
}

// solverLevels are the time steps of a translation by DPMSolver or SASolver, rising: set_timesteps of diffusers'
// DPMSolverMultistepScheduler and SASolverScheduler. Those of leading and linspace spacing are n of n+1, for the last
// step goes to the first noise level; those of trailing spacing are DDIM's, without a surplus −1.
func (s *Schedule) solverLevels(n int) ([]int, error) {
	train, parts := s.Config.NumTrainTimesteps, n+1
	if s.Config.TimestepSpacing == Trailing {
		parts = n
	}
	if n < 1 || parts > train {
		return nil, fmt.Errorf("time steps of a solver: %d steps, want 1 to %d", n, train-parts+n)
	}
	t, err := s.rising(parts)
	if err != nil {
		return nil, err
	}
	return t[len(t)-n:], nil
}
