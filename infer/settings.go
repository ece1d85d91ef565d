package infer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/schedule"
)

// Settings say how images are translated. Their JSON is part of what an output says of itself; each field changes the output.
type Settings struct {
	StepsInversion   int                     `json:"steps-inversion"`   // 2 or more; 100
	StepsTranslation int                     `json:"steps-translation"` // 2 or more; 100
	EtaInversion     schedule.Eta            `json:"eta-inversion"`     // zero
	EtaTranslation   schedule.Eta            `json:"eta"`               // cosine_min_20
	Normalize        schedule.Normalize      `json:"normalize"`         // inversion
	PromptInversion  string                  `json:"prompt-inversion"`  // ""; the model's: see Pipeline.Resolve
	Prediction       schedule.PredictionType `json:"prediction-type"`   // ""; the model's
	Seed             int64                   `json:"seed"`              // of the noise; each image begins anew with it
	Without          Without                 `json:"without,omitempty"` // nothing
}

// DefaultSettings are the paper's.
func DefaultSettings() Settings {
	return Settings{
		StepsInversion: 100, StepsTranslation: 100,
		EtaInversion: schedule.EtaZero(), EtaTranslation: schedule.EtaCosineMin20(),
		Normalize: schedule.NormalizeInversion,
	}
}

// Resolve fills in what the model's folder decides, where the settings leave it open: prediction type and prompt. notes say what of the
// folder is overridden, and what else should be known of it. What can't work with this model is an error.
func (p *Pipeline) Resolve(s Settings) (_ Settings, notes []string, err error) {
	if err := s.Validate(); err != nil {
		return s, nil, err
	}
	c, err := p.model.Scheduler.For(s.Prediction)
	if err != nil {
		return s, nil, fmt.Errorf("scheduler_config.json: %w", err)
	}
	if _, _, err := timesteps(c, s); err != nil {
		return s, nil, err
	}
	notes = slices.Concat(p.model.Notes, p.model.Scheduler.Notes(s.Prediction))
	s.Prediction = c.PredictionType
	own := cmp.Or(p.model.Purpose.Prompt, model.DefaultPrompt)
	if s.PromptInversion == "" {
		s.PromptInversion = own
	} else if s.PromptInversion != own && p.model.Purpose.Prompt != "" {
		notes = append(notes, fmt.Sprintf("prompt %q, though %s says %q", s.PromptInversion, model.PurposeFile, own))
	}
	return s, notes, nil
}

// timesteps are those of the inversion, rising, and of the translation, falling.
func timesteps(c schedule.Config, s Settings) (up, down []int, err error) {
	noise, err := schedule.New(c)
	if err != nil {
		return nil, nil, err
	}
	if up, err = noise.InverseTimesteps(s.StepsInversion); err != nil {
		return nil, nil, fmt.Errorf("inversion: %w", err)
	}
	if down, err = noise.Timesteps(s.StepsTranslation); err != nil {
		return nil, nil, fmt.Errorf("translation: %w", err)
	}
	for _, t := range []int{up[len(up)-1], down[0]} {
		if t >= c.NumTrainTimesteps {
			return nil, nil, fmt.Errorf("scheduler_config.json: steps_offset %d takes time steps to %d, beyond the %d of training: want fewer steps",
				c.StepsOffset, t, c.NumTrainTimesteps)
		}
	}
	return up, down, nil
}

// Validate reports everything that is wrong with the settings.
func (s Settings) Validate() error {
	var errs []error
	for _, n := range []struct {
		name  string
		steps int
	}{{"steps of the inversion", s.StepsInversion}, {"steps of the translation", s.StepsTranslation}} {
		if n.steps < 2 || n.steps > 1000 {
			errs = append(errs, fmt.Errorf("%d %s: want 2 to 1000, for η is a function of i/(steps−1)", n.steps, n.name))
		}
	}
	var n schedule.Normalize
	if err := n.UnmarshalText([]byte(s.Normalize)); err != nil {
		errs = append(errs, err)
	}
	var w Without
	if err := w.UnmarshalText([]byte(s.Without)); err != nil {
		errs = append(errs, err)
	}
	if s.Prediction != "" && s.Prediction != schedule.VPrediction && s.Prediction != schedule.Epsilon {
		errs = append(errs, fmt.Errorf("prediction type %q: want %s or %s", s.Prediction, schedule.VPrediction, schedule.Epsilon))
	}
	return errors.Join(errs...)
}
