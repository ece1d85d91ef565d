package infer

import (
	"errors"
	"fmt"

	"github.com/histdist/histdist/graph/schedule"
)

// Settings say how images are translated.
type Settings struct {
	StepsInversion   int                     // 2 or more; 100
	StepsTranslation int                     // 2 or more; 100
	EtaInversion     schedule.Eta            // zero
	EtaTranslation   schedule.Eta            // cosine_min_20
	Normalize        schedule.Normalize      // inversion
	PromptInversion  string                  // H&E
	Prediction       schedule.PredictionType // v_prediction
	Seed             int64                   // of the noise; each image begins anew with it
	Without          Without                 // nothing
}

// DefaultSettings are the paper's.
func DefaultSettings() Settings {
	return Settings{
		StepsInversion: 100, StepsTranslation: 100,
		EtaInversion: schedule.EtaZero(), EtaTranslation: schedule.EtaCosineMin20(),
		Normalize: schedule.NormalizeInversion, PromptInversion: "H&E", Prediction: schedule.VPrediction,
	}
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
	if s.Prediction != schedule.VPrediction && s.Prediction != schedule.Epsilon {
		errs = append(errs, fmt.Errorf("prediction type %q: want %s or %s", s.Prediction, schedule.VPrediction, schedule.Epsilon))
	}
	return errors.Join(errs...)
}
