package schedule

import (
	"fmt"
	"math"
	"slices"
)

// Timesteps returns the time steps of a run of n steps from noise to sample, falling: set_timesteps of diffusers' DDIM
// and DDPM schedulers. With leading spacing and as many steps as in training, StepsOffset moves the first beyond the
// end, and a sampler refuses it.
//
// With trailing spacing, rounding makes it n+1 time steps for 62 of the numbers up to 1000 (61, 103, 121, 122, 201,
// 206, …); the surplus one is −1 and has the noise level of the last time step, as in diffusers.
func (s *Schedule) Timesteps(n int) ([]int, error) {
	t, err := s.rising(n)
	if err != nil {
		return nil, err
	}
	slices.Reverse(t)
	return t, nil
}

// InverseTimesteps returns the time steps of an inversion of n steps from sample to noise, rising: set_timesteps of
// diffusers' DDIMInverseScheduler, which refuses linspace spacing too. A surplus −1 of trailing spacing comes first.
func (s *Schedule) InverseTimesteps(n int) ([]int, error) {
	if s.Config.TimestepSpacing == Linspace {
		return nil, fmt.Errorf("time steps of an inversion: timestep_spacing is %s, want %s or %s", Linspace, Leading,
			Trailing)
	}
	return s.rising(n)
}

// rising are the time steps of a run of n steps.
func (s *Schedule) rising(n int) ([]int, error) {
	train := s.Config.NumTrainTimesteps
	if n < 1 || n > train {
		return nil, fmt.Errorf("time steps of a run: %d steps, want 1 to %d, the time steps of training", n, train)
	}
	switch s.Config.TimestepSpacing {
	case Leading:
		t := make([]int, n)
		for i := range t {
			t[i] = i*(train/n) + s.Config.StepsOffset
		}
		return t, nil
	case Trailing:
		return trailing(train, n), nil
	default: // Linspace: New lets no other through
		t := make([]int, n)
		width := float64(train-1) / float64(max(n-1, 1))
		for i := range t {
			t[i] = int(math.RoundToEven(float64(i) * width))
		}
		return t, nil
	}
}

// trailing is round(arange(train, 0, −train/n)) − 1, reversed, with the length and elements of numpy.arange, which adds
// multiples of the difference of its first two elements.
func trailing(train, n int) []int {
	start := float64(train)
	width := start / float64(n)
	step := (start - width) - start
	t := make([]int, int(math.Ceil(start/width)))
	for i := range t {
		t[len(t)-1-i] = int(math.RoundToEven(start+float64(float64(i)*step))) - 1
	}
	return t
}
