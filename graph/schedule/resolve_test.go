package schedule_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/schedule"
)

// The folder's file decides how its model is sampled; what it leaves open is as in the official implementation.
func TestTheModelFolderDecides(t *testing.T) {
	const (
		sd = `"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
			"num_train_timesteps": 1000, "set_alpha_to_one": false, "steps_offset": 1`
		all = sd + `, "clip_sample": false`
	)
	type sampling struct {
		Prediction schedule.PredictionType
		Spacing    schedule.Spacing
		ZeroSNR    bool
		Clip       bool
		Notes      []string
	}
	leading, trailing := schedule.Leading, schedule.Trailing
	eps, v := schedule.Epsilon, schedule.VPrediction
	tests := map[string]struct {
		file   string
		chosen schedule.PredictionType
		want   sampling
	}{
		"epsilon, as an export of such a run has it": {
			`{"_class_name": "DDIMScheduler", "prediction_type": "epsilon", "timestep_spacing": "leading", "rescale_betas_zero_snr": false, ` + all + `}`, "",
			sampling{eps, leading, false, false, nil},
		},
		"epsilon, and a flag that contradicts": {
			`{"_class_name": "DDIMScheduler", "prediction_type": "epsilon", "timestep_spacing": "leading", "rescale_betas_zero_snr": false, ` + all + `}`, v,
			sampling{v, trailing, true, false, []string{
				"prediction type v_prediction, though scheduler_config.json says epsilon",
			}},
		},
		"epsilon, and a flag that agrees": {
			`{"_class_name": "DDIMScheduler", "prediction_type": "epsilon", "timestep_spacing": "trailing", "rescale_betas_zero_snr": false, ` + all + `}`, eps,
			sampling{eps, trailing, false, false, nil},
		},
		"v-prediction without zero terminal SNR": {
			`{"_class_name": "DDIMScheduler", "prediction_type": "v_prediction", "timestep_spacing": "leading", "rescale_betas_zero_snr": false, ` + all + `}`, "",
			sampling{v, leading, false, false, nil},
		},
		"v-prediction, nothing else said": {
			`{"_class_name": "DDIMScheduler", "prediction_type": "v_prediction", ` + all + `}`, v,
			sampling{v, trailing, true, false, []string{
				"scheduler_config.json leaves open, and is taken to mean: rescale_betas_zero_snr true, timestep_spacing trailing",
			}},
		},
		"Stable Diffusion's file with a fine-tuned U-Net": {
			`{"_class_name": "PNDMScheduler", "prediction_type": "epsilon", "timestep_spacing": "leading", "skip_prk_steps": true, ` + all + `}`, "",
			sampling{v, trailing, true, false, []string{
				"scheduler_config.json is that of Stable Diffusion (PNDMScheduler) and does not say how the U-Net was fine-tuned: " +
					"prediction type v_prediction, as in the official implementation",
			}},
		},
		"the same with a flag": {
			`{"_class_name": "PNDMScheduler", "prediction_type": "epsilon", "timestep_spacing": "leading", "skip_prk_steps": true, ` + all + `}`, eps,
			sampling{eps, leading, false, false, nil},
		},
		"no clip_sample": {
			`{"_class_name": "PNDMScheduler", "prediction_type": null, ` + sd + `}`, v,
			sampling{v, trailing, true, false, []string{
				"scheduler_config.json has no clip_sample: false, as Stable Diffusion's (DDIMScheduler's default is true, for images)",
			}},
		},
		"clip_sample": {
			`{"_class_name": "DDIMScheduler", "prediction_type": "v_prediction", "timestep_spacing": "trailing", "rescale_betas_zero_snr": true, "clip_sample": true, "clip_sample_range": 2, ` + sd + `}`, "",
			sampling{v, trailing, true, true, []string{"scheduler_config.json has clip_sample: latents are clipped to ±2"}},
		},
		"empty": {
			`{}`, eps,
			sampling{eps, leading, false, false, []string{
				"scheduler_config.json has no clip_sample: false, as Stable Diffusion's (DDIMScheduler's default is true, for images)",
				"scheduler_config.json leaves open, and is taken to mean: beta_end 0.02, beta_schedule linear, beta_start 0.0001, " +
					"num_train_timesteps 1000, set_alpha_to_one true, steps_offset 0",
			}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var c schedule.Config
			if err := json.Unmarshal([]byte(test.file), &c); err != nil {
				t.Fatal(err)
			}
			r, err := c.For(test.chosen)
			if err != nil {
				t.Fatal(err)
			}
			got := sampling{r.PredictionType, r.TimestepSpacing, r.RescaleBetasZeroSNR, r.ClipSample, c.Notes(test.chosen)}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			again, err := r.For("")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, again); diff != "" ||
				slices.ContainsFunc(r.Notes(""), func(n string) bool { return !r.ClipSample }) {
				t.Errorf("an export of it is sampled otherwise: %s%v", diff, r.Notes(""))
			}
		})
	}
}

// What can't be sampled is refused before anything is computed.
func TestSchedulesThatCanNotBeSampled(t *testing.T) {
	tests := map[string]struct {
		file   string
		chosen schedule.PredictionType
		want   string
	}{
		"epsilon with zero terminal SNR": {`{"prediction_type": "epsilon", "rescale_betas_zero_snr": true}`, "", schedule.ErrZeroSNR.Error()},
		"epsilon over v-prediction":      {`{"prediction_type": "v_prediction", "rescale_betas_zero_snr": true}`, schedule.Epsilon, schedule.ErrZeroSNR.Error()},
		"epsilon with betas up to 1":     {`{"prediction_type": "epsilon", "num_train_timesteps": 2, "trained_betas": [0.5, 1]}`, "", schedule.ErrZeroSNR.Error()},
		"sample":                         {`{"prediction_type": "sample"}`, "", `prediction_type is "sample": HistDiST has v_prediction and epsilon`},
		"unknown":                        {`{"prediction_type": "flow"}`, "", `prediction_type is "flow": HistDiST has v_prediction and epsilon`},
		"linspace": {
			`{"prediction_type": "epsilon", "timestep_spacing": "linspace"}`, "",
			"timestep_spacing is linspace, which has no inversion: want leading or trailing",
		},
		"flow matching": {
			`{"_class_name": "FlowMatchEulerDiscreteScheduler"}`, "",
			"_class_name is FlowMatchEulerDiscreteScheduler, which is another kind of diffusion: want DDIMScheduler, PNDMScheduler or the like",
		},
		"thresholding": {
			`{"prediction_type": "epsilon", "thresholding": true}`, "",
			"noise schedule: thresholding is true, but dynamic thresholding is for models of pixels, not of latents",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var c schedule.Config
			if err := json.Unmarshal([]byte(test.file), &c); err != nil {
				t.Fatal(err)
			}
			_, err := c.For(test.chosen)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if zero := test.want == schedule.ErrZeroSNR.Error(); zero != errors.Is(err, schedule.ErrZeroSNR) {
				t.Errorf("ErrZeroSNR: %v, want %v", !zero, zero)
			}
		})
	}
}
