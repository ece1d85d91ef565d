package train

import (
	"cmp"
	"errors"
	"math"

	"github.com/histdist/histdist/internal/option"
)

// LRSchedule names how the learning rate changes over a run: the schedules of diffusers' get_scheduler.
type LRSchedule string

// The schedules. All but Constant rise linearly from 0 during the warm-up.
const (
	Constant           LRSchedule = "constant"
	ConstantWithWarmup LRSchedule = "constant_with_warmup"
	Linear             LRSchedule = "linear"               // falls to 0
	Cosine             LRSchedule = "cosine"               // falls to 0 along half a cosine, and rises again past the end
	CosineWithRestarts LRSchedule = "cosine_with_restarts" // falls Cycles times
	Polynomial         LRSchedule = "polynomial"           // falls to 1e-7 as a power of what is left
)

// polynomialEnd is the learning rate that Polynomial ends with.
const polynomialEnd = 1e-7

// LearningRate is the learning rate of every step of a run.
type LearningRate struct {
	Schedule LRSchedule `json:"lr-schedule" want:"constant, constant_with_warmup, linear, cosine, cosine_with_restarts or polynomial" usage:"how the learning rate changes over the run: constant, constant_with_warmup, linear, cosine, cosine_with_restarts or polynomial"`
	Base     float64    `json:"lr" want:"above 0" usage:"largest learning rate"`
	Warmup   int        `json:"lr-warmup" want:"0 or more" usage:"steps in which the learning rate rises from 0"`
	Cycles   float64    `json:"lr-cycles" want:"0 or more" usage:"waves of cosine (0 is 0.5), falls of cosine_with_restarts (0 is 1)"`
	Power    float64    `json:"lr-power" want:"0 or more" usage:"exponent of the schedule polynomial; 0 is 1"`
}

// validate reports what is wrong with the learning rate of a run of so many steps, in addition to option.Check.
func (l LearningRate) validate(steps int) error {
	if l.Schedule != Polynomial {
		return nil
	}
	var errs []error
	if l.Base <= polynomialEnd {
		errs = append(errs, option.Wrong("lr", "%g: polynomial falls to %g: want more", l.Base, polynomialEnd))
	}
	if l.Warmup == steps {
		errs = append(errs, option.Wrong("lr-warmup", "%d, the whole run: polynomial wants another number", l.Warmup))
	}
	return errors.Join(errs...)
}

// At is the learning rate of a step, counted from 0, of a run of so many steps. It is defined past the end, too.
func (l LearningRate) At(step, steps int) float64 {
	warmup, left := float64(l.Warmup), float64(max(1, steps-l.Warmup))
	if l.Schedule != Constant && step < l.Warmup {
		return l.Base * (float64(step) / max(1, warmup))
	}
	done := (float64(step) - warmup) / left
	factor := 1.0
	switch l.Schedule {
	case Linear:
		factor = max(0, float64(steps-step)/left)
	case Cosine:
		factor = max(0, 0.5*(1+math.Cos(math.Pi*cmp.Or(l.Cycles, 0.5)*2*done)))
	case CosineWithRestarts:
		factor = 0
		if done < 1 {
			factor = max(0, 0.5*(1+math.Cos(math.Pi*math.Mod(cmp.Or(l.Cycles, 1)*done, 1))))
		}
	case Polynomial:
		if step > steps {
			return polynomialEnd
		}
		factor = ((l.Base-polynomialEnd)*math.Pow(1-done, cmp.Or(l.Power, 1)) + polynomialEnd) / l.Base
	}
	return l.Base * factor
}
