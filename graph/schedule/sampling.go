package schedule

import (
	"errors"
	"fmt"

	"github.com/histdist/histdist/internal/option"
)

// Sampling says how a model is sampled: everything about a run but its noise and what it is given.
type Sampling struct {
	StepsInversion   int       `json:"steps-inversion" want:"0 to 1000" usage:"steps from the H&E to noise; 0: the translation begins with random noise"`
	StepsTranslation int       `json:"steps-translation" want:"1 to 1000" usage:"steps from noise to the IHC stain"`
	SolverInversion  Solver    `json:"solver-inversion,omitzero" want:"ddim or dpm" usage:"how the inversion steps: ddim (the paper's) or dpm (DPM-Solver++, for few steps)"`
	Solver           Solver    `json:"solver,omitzero" want:"ddim, dpm, sa or consistency" usage:"how the translation steps: ddim (the paper's), dpm (DPM-Solver++, without noise), sa (SA-Solver, for few steps) or consistency (for models for few steps; all noise is new, whatever eta)"`
	EtaInversion     Eta       `json:"eta-inversion" usage:"fresh noise along the inversion, as --eta"`
	EtaTranslation   Eta       `json:"eta" usage:"fresh noise along the translation: zero, constant, constant:VALUE, linear, cosine_min_10, cosine_min_20 or cosine_min_30"`
	Normalize        Normalize `json:"normalize" want:"inversion, steps or none" usage:"standardise the noise: inversion (once, at its end), steps (in each step) or none"`
}

// Paper returns the paper's sampling: 200 calls of the U-Net.
func Paper() Sampling {
	return Sampling{
		StepsInversion: 100, StepsTranslation: 100, SolverInversion: SolverDDIM, Solver: SolverDDIM,
		EtaInversion: EtaZero(), EtaTranslation: EtaCosineMin20(), Normalize: NormalizeInversion,
	}
}

// Balanced returns a sampling for any model, with a tenth of the paper's calls. Of 5 + 15, 8 + 12 and 10 + 10 steps the
// first is best, because the inversion of DPM-Solver needs few; long steps need more fresh noise than the paper's to
// make the same texture. docs/fast.md has the measurements.
func Balanced() Sampling {
	s := Paper()
	s.StepsInversion, s.SolverInversion = 5, SolverDPM
	s.StepsTranslation, s.Solver, s.EtaTranslation = 15, SolverSA, EtaCosineMin30()
	return s
}

// Describe says in a line what the sampling costs and is.
func (s Sampling) Describe() string {
	inversion := fmt.Sprintf("inversion %d × %s, eta %s", s.StepsInversion, s.SolverInversion, s.EtaInversion)
	if s.StepsInversion == 0 {
		inversion = "no inversion"
	}
	translation := fmt.Sprintf("translation %d × %s", s.StepsTranslation, s.Solver)
	if s.Solver != SolverConsistency {
		translation += fmt.Sprintf(", eta %s", s.EtaTranslation)
	}
	return fmt.Sprintf("%s for each image: %s; %s", calls(s.Calls()), inversion, translation)
}

// calls counts U-Net calls.
func calls(n int) string {
	if n == 1 {
		return "1 U-Net call"
	}
	return fmt.Sprintf("%d U-Net calls", n)
}

// Calls is the number of U-Net calls for each image.
func (s Sampling) Calls() int { return s.StepsInversion + s.StepsTranslation }

// Validate reports everything that is wrong with the sampling, as option.KeyErrors.
func (s Sampling) Validate() error {
	errs := []error{option.Check(s)}
	if s.SolverInversion == SolverDPM {
		if !s.EtaInversion.none() {
			errs = append(errs, option.Wrong("eta-inversion",
				"%s: solver-inversion dpm adds no noise: want zero", s.EtaInversion))
		}
		if s.Normalize == NormalizeSteps {
			errs = append(errs, option.Wrong("normalize",
				"%s: solver-inversion dpm can't standardise in each step: want inversion or none", s.Normalize))
		}
	}
	if s.Solver == SolverDPM && !s.EtaTranslation.none() {
		errs = append(errs, option.Wrong("eta", "%s: solver dpm adds no noise: want zero", s.EtaTranslation))
	}
	return errors.Join(errs...)
}
