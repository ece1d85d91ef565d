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
	schedule.Sampling

	PromptInversion string                  `json:"prompt-inversion" usage:"text that describes the input to the model (default: the model's, or H&E)"`
	Prediction      schedule.PredictionType `json:"prediction-type" want:"v_prediction, epsilon or empty" usage:"what the model predicts: v_prediction or epsilon (default: as its folder says)"`
	Seed            int64                   `json:"seed" usage:"seed of each image's noise: the same seed gives the same image"`
	Marker          Markers                 `json:"marker,omitempty" usage:"marker to stain for, of a model that has several, such as er; given several times there is a stain for each, and its name in the output's"`
	Without         Without                 `json:"without,omitempty" usage:"parts to leave out, for ablations: tokens, concatenation, inversion"`
}

// DefaultSettings returns the paper's.
func DefaultSettings() Settings { return Settings{Sampling: schedule.Paper()} }

// Calls is the number of U-Net calls for each image.
func (s Settings) Calls() int {
	if !s.inverts() {
		return s.StepsTranslation
	}
	return s.Sampling.Calls()
}

// inverts reports whether the translation begins with the inverted H&E and not with random noise.
func (s Settings) inverts() bool { return s.StepsInversion > 0 && !s.Without.has(withoutInversion) }

// Inversions is the number of U-Net calls of the inversion, 0 where there is none.
func (s Settings) Inversions() int {
	if !s.inverts() {
		return 0
	}
	return s.StepsInversion
}

// Resolve takes the prediction type and the prompt from the model's folder where the settings leave them open. The
// notes say what of the folder is overridden, and what else a user should know about it. Settings that can't work with
// this model are an error.
func (p *Pipeline) Resolve(s Settings) (_ Settings, notes []string, err error) {
	if err := s.Validate(); err != nil {
		return s, nil, err
	}
	c, err := p.model.Scheduler.For(s.Prediction)
	if err != nil {
		return s, nil, fmt.Errorf("scheduler_config.json: %w", err)
	}
	noise, err := schedule.New(c)
	if err != nil {
		return s, nil, err
	}
	if _, _, err := s.trajectories(noise); err != nil {
		return s, nil, err
	}
	notes = slices.Concat(p.model.Notes, p.model.Scheduler.Notes(s.Prediction))
	s.Prediction = c.PredictionType
	if s.Marker, _, err = p.labels(s.Marker); err != nil {
		return s, nil, err
	}
	own := cmp.Or(p.model.Purpose.Prompt, model.DefaultPrompt)
	if s.PromptInversion == "" {
		s.PromptInversion = own
	} else if s.PromptInversion != own && p.model.Purpose.Prompt != "" {
		notes = append(notes, fmt.Sprintf("prompt %q, though %s says %q", s.PromptInversion, model.PurposeFile, own))
	}
	return s, notes, nil
}

// Trajectory is one of the two ways through the noise levels.
type Trajectory struct {
	Sampler schedule.Sampler
	Steps   []schedule.Step // without noise and history
}

// trajectories returns the inversion, which has no steps where there is none, and the translation.
func (s Settings) trajectories(noise *schedule.Schedule) (inversion, translation Trajectory, err error) {
	if s.inverts() {
		inversion.Sampler, inversion.Steps, err = s.SolverInversion.Inversion(noise, s.StepsInversion)
		if err != nil {
			return Trajectory{}, Trajectory{}, fmt.Errorf("inversion: %w", err)
		}
	}
	if translation.Sampler, translation.Steps, err = s.Solver.Translation(noise, s.StepsTranslation); err != nil {
		return Trajectory{}, Trajectory{}, fmt.Errorf("translation: %w", err)
	}
	c := noise.Config
	single := len(inversion.Steps) == 1 || len(translation.Steps) == 1
	if single && c.TimestepSpacing != schedule.Trailing {
		return Trajectory{}, Trajectory{}, fmt.Errorf("scheduler_config.json: timestep_spacing %s has no single step "+
			"between noise and image: want 2 or more steps", c.TimestepSpacing)
	}
	for _, step := range slices.Concat(inversion.Steps, translation.Steps) {
		if step.Timestep >= c.NumTrainTimesteps {
			return Trajectory{}, Trajectory{}, fmt.Errorf("scheduler_config.json: steps_offset %d takes time steps to %d, "+
				"beyond the %d of training: want fewer steps", c.StepsOffset, step.Timestep, c.NumTrainTimesteps)
		}
	}
	return inversion, translation, nil
}

// Validate reports everything that is wrong with the settings, as option.KeyErrors.
func (s Settings) Validate() error {
	var w Without
	errs := []error{option.Check(s)}
	if err := w.UnmarshalText([]byte(s.Without)); err != nil {
		errs = append(errs, option.Wrong("without", "%w", err))
	}
	if err := model.CheckMarkers(s.Marker); err != nil {
		errs = append(errs, option.Wrong("marker", "%w", err))
	}
	return errors.Join(errs...)
}

// Markers are names of markers. As one text they are separated as in PATH; a file may have a list, a flag may be given
// several times.
type Markers []string

// UnmarshalText takes a text apart.
func (m *Markers) UnmarshalText(text []byte) error { return (*option.List)(m).UnmarshalText(text) }

// MarshalText puts the names into one text.
func (m Markers) MarshalText() ([]byte, error) { return option.List(m).MarshalText() }

// labels returns the model's names of markers, and their class labels: 0 of a model without, whose list is empty.
func (p *Pipeline) labels(markers Markers) (names Markers, labels []int, err error) {
	if len(markers) == 0 {
		markers = Markers{""}
	}
	for _, marker := range markers {
		label, name, err := p.model.Purpose.Label(marker)
		if err != nil {
			return nil, nil, err
		}
		if labels = append(labels, label); name != "" {
			names = append(names, name)
		}
	}
	return names, labels, nil
}
