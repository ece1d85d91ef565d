package infer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/option"
)

// Settings say how images are translated. All of them change the output, which records them as JSON.
type Settings struct {
	StepsInversion   int `json:"steps-inversion" want:"2 to 1000" usage:"steps from the H&E to noise"`
	StepsTranslation int `json:"steps-translation" want:"2 to 1000" usage:"steps from noise to the IHC stain"`

	EtaInversion    schedule.Eta            `json:"eta-inversion" usage:"fresh noise along the inversion, as --eta"`
	EtaTranslation  schedule.Eta            `json:"eta" usage:"fresh noise along the translation: zero, constant, constant:VALUE, linear, cosine_min_10, cosine_min_20 or cosine_min_30"`
	Normalize       schedule.Normalize      `json:"normalize" want:"inversion, steps or none" usage:"standardise the noise: inversion (once, at its end), steps (in each step) or none"`
	PromptInversion string                  `json:"prompt-inversion" usage:"text that describes the input to the model (default: the model's, or H&E)"`
	Prediction      schedule.PredictionType `json:"prediction-type" want:"v_prediction, epsilon or empty" usage:"what the model predicts: v_prediction or epsilon (default: as its folder says)"`
	Seed            int64                   `json:"seed" usage:"seed of each image's noise: the same seed gives the same image"`
	Without         Without                 `json:"without,omitempty" usage:"parts to leave out, for ablations: tokens, concatenation, inversion"`
}

// DefaultSettings returns the paper's.
func DefaultSettings() Settings {
	return Settings{
		StepsInversion: 100, StepsTranslation: 100,
		EtaInversion: schedule.EtaZero(), EtaTranslation: schedule.EtaCosineMin20(),
		Normalize: schedule.NormalizeInversion,
	}
}

// resolve takes the prediction type and the prompt from the model's folder where the settings leave them open. The
// notes say what of the folder is overridden, and what else a user should know about it. Settings that can't work with
// this model are an error.
func (p *Pipeline) resolve(s Settings) (_ Settings, notes []string, err error) {
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

// timesteps returns the rising timesteps of the inversion and the falling ones of the translation.
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
			return nil, nil, fmt.Errorf("scheduler_config.json: steps_offset %d takes time steps to %d, "+
				"beyond the %d of training: want fewer steps", c.StepsOffset, t, c.NumTrainTimesteps)
		}
	}
	return up, down, nil
}

// Validate reports everything that is wrong with the settings, as option.KeyErrors.
func (s Settings) Validate() error {
	var w Without
	errs := []error{option.Check(s)}
	if err := w.UnmarshalText([]byte(s.Without)); err != nil {
		errs = append(errs, option.Wrong("without", "%w", err))
	}
	return errors.Join(errs...)
}
