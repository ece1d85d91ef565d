package schedule

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// errStandardise is the error of a step of a solver that standardises nothing.
var errStandardise = errors.New("only DDIM's steps can standardise the latents")

// History is what a multistep solver (DPMSolver, DPMSolverInverse, SASolver) keeps of a run's last step. The zero value
// is ready for use. The first step of a run, Index 0, clears it: a run can be started again at any time, and nothing
// passes from one run to the next. A History serves one run at a time.
type History struct {
	steps     int       // taken so far
	timestep  int       // where the last step went to
	from      level     // where it came from
	original  []float32 // the network's x₀ there
	euler     []float32 // the latents it would have reached at order 1
	corrector float64   // in SASolver, the weight of the change of x₀ over the step
}

// level is a noise level: samples are signal·x₀ + noise·ε.
type level struct{ signal, noise float64 }

func levelOf(alphaCumprod float32) level {
	a := float64(alphaCumprod)
	return level{math.Sqrt(a), math.Sqrt(1 - a)}
}

// rho is ρ = e^λ, the root of the signal-to-noise ratio.
func (l level) rho() float64 { return l.signal / l.noise }

// jump is a solver's step from one noise level to another. At order 1 the new latents are
// sample·latents + original·x₀ + fresh·noise.
type jump struct {
	step                    Step
	from, to                level
	split                   func(x, output float32) (original, noise float32)
	sample, original, fresh float64
	kept                    float64 // the factor of the old noise: kept² + (fresh/to.noise)² = 1
}

// jump checks a step and returns it at order 1, which is DDIM for every eta: σ of equation 16 of Song et al. (2021) is
// η·to.noise·√(1−q²), where q = e⁻ʰ is the quotient of the levels' ρ. Nothing is divided by the noisier level's ᾱ, so
// that a step can come from pure noise or go to it.
func (s *Schedule) jump(x, output []float32, step Step) (jump, error) {
	if err := step.check(x, output); err != nil {
		return jump{}, err
	}
	h := step.History
	switch {
	case h == nil:
		return jump{}, errors.New("no history, which a multistep solver needs")
	case step.Standardise != [4]int{}:
		return jump{}, errStandardise
	case step.Index < 0 || step.Index >= step.Steps:
		return jump{}, fmt.Errorf("step %d of a run of %d", step.Index, step.Steps)
	case step.Index > 0 && h.steps != step.Index:
		return jump{}, fmt.Errorf("step %d with a history of %d steps", step.Index, h.steps)
	case step.Index > 0 && (h.timestep != step.Timestep || len(h.original) != len(x)):
		return jump{}, fmt.Errorf("step from time step %d with %d elements, after one to time step %d with %d elements",
			step.Timestep, len(x), h.timestep, len(h.original))
	}
	from, err := s.alphaCumprod(step.Timestep)
	if err != nil {
		return jump{}, err
	}
	to, err := s.level(step.Next)
	if err != nil {
		return jump{}, err
	}
	if from == 1 || from == 0 && to == 0 {
		return jump{}, fmt.Errorf("no step from ᾱ %v to ᾱ %v", from, to)
	}
	j := jump{step: step, from: levelOf(from), to: levelOf(to), split: s.splitter(from), kept: 1}
	if step.Eta > 0 {
		q := j.quotient()
		replaced := step.Eta * math.Sqrt(max(1-float64(q*q), 0))
		j.kept, j.fresh = math.Sqrt(max(1-float64(replaced*replaced), 0)), replaced*j.to.noise
	}
	j.sample = j.kept * j.to.noise / j.from.noise
	j.original = j.to.signal - float64(j.sample*j.from.signal)
	return j, nil
}

// quotient is e⁻ʰ, the old ρ over the new one.
func (j jump) quotient() float64 { return j.from.signal * j.to.noise / (j.from.noise * j.to.signal) }

// stretch is the length of the step relative to the last one: h/h₀ in λ = log ρ, as in the papers. Where a level is
// pure noise, λ is infinite, and lengths are in ρ: what solvers approximate, ∫x₀·e^λ dλ, is ∫x₀ dρ, whose bounds are
// finite. Diffusers replaces the last ᾱ, 0, by 2⁻²⁴. On Gaussian data of deviation 2, DPMSolver's error over 10 steps
// is 0.074 with that and 0.046 with ρ.
func (j jump) stretch() float64 {
	before := j.step.History.from
	at := func(l level) float64 { return math.Log(l.rho()) }
	if before.signal == 0 || j.to.signal == 0 {
		at = level.rho
	}
	if before == j.from { // with as many steps as time steps
		return 0
	}
	return (at(j.to) - at(j.from)) / (at(j.from) - at(before))
}

// take sets x to the step at order 1, plus predictor times the change of x₀ since the last step. With correct, it first
// replaces the latents by the last step with the change of x₀ over it.
func (s *Schedule) take(x, output []float32, j jump, predictor float64, correct, clip bool) {
	h, limit := j.step.History, float32(s.Config.ClipSampleRange)
	if j.step.Index == 0 {
		h.original = slices.Grow(h.original[:0], len(x))[:len(x)]
		h.euler = slices.Grow(h.euler[:0], len(x))[:len(x)]
	}
	for i := range x {
		original, _ := j.split(x[i], output[i])
		if clip {
			original = min(max(original, -limit), limit)
		}
		latent, change := float64(x[i]), 0.0
		if j.step.Index > 0 {
			change = float64(original) - float64(h.original[i])
			if correct {
				latent = float64(h.euler[i]) + float64(h.corrector*change)
			}
		}
		euler := float64(j.sample*latent) + float64(j.original*float64(original))
		if j.step.Eta > 0 {
			euler += float64(j.fresh * float64(j.step.Noise[i]))
		}
		x[i] = float32(euler + float64(predictor*change))
		h.original[i], h.euler[i] = original, float32(euler)
	}
	h.steps, h.timestep, h.from = j.step.Index+1, j.step.Next, j.from
}
