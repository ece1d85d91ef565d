package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrZeroSNR is the error of a model that predicts noise and would start from pure noise.
var ErrZeroSNR = errors.New("prediction type epsilon can't go with zero terminal SNR: the last time step is pure " +
	"noise, and predicting it says nothing of the image; choose v_prediction, or a scheduler_config.json with " +
	"rescale_betas_zero_snr false")

// schedulers are the classes of diffusers whose files describe this kind of diffusion. It doesn't matter which one it
// is: HistDiST samples with its own DDIM.
var schedulers = []string{
	"", "DDIMScheduler", "DDIMInverseScheduler", "DDPMScheduler", "PNDMScheduler", "LMSDiscreteScheduler",
	"EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler", "DPMSolverMultistepScheduler",
	"DPMSolverMultistepInverseScheduler", "DPMSolverSinglestepScheduler", "DPMSolverSDEScheduler",
	"DEISMultistepScheduler",
	"UniPCMultistepScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DDIMParallelScheduler",
	"DDPMParallelScheduler", "SASolverScheduler",
}

// For returns the configuration that a model runs with: its folder's file, with the prediction type p of the user; ""
// keeps the file's, or takes v-prediction if it has none.
//
// Keys that the file leaves out, and those that p contradicts, are as in the official implementation: v-prediction has
// zero terminal SNR and trailing spacing. Latents are not clipped unless the file says so: DDIMScheduler's default is
// meant for images. A configuration that can't be sampled is an error.
func (c Config) For(p PredictionType) (Config, error) {
	if !slices.Contains(schedulers, c.ClassName) {
		return Config{}, fmt.Errorf("_class_name is %s, which is another kind of diffusion: want DDIMScheduler, "+
			"PNDMScheduler or the like",
			c.ClassName)
	}
	own, said := c.prediction()
	if p == "" {
		p = own
	}
	switch p {
	case Epsilon:
	case VPrediction:
		follows := said && own == p && !c.isBase()
		if !follows || c.leavesOut("timestep_spacing") {
			c.TimestepSpacing = Trailing
		}
		if !follows || c.leavesOut("rescale_betas_zero_snr") {
			c.RescaleBetasZeroSNR = true
		}
	default:
		return Config{}, fmt.Errorf("prediction_type is %q: HistDiST has %s and %s", p, VPrediction, Epsilon)
	}
	if c.leavesOut("clip_sample") {
		c.ClipSample = false
	}
	c.PredictionType, c.Unstated = p, nil
	if c.TimestepSpacing == Linspace {
		return Config{}, fmt.Errorf("timestep_spacing is %s, which has no inversion: want %s or %s", Linspace, Leading,
			Trailing)
	}
	s, err := New(c)
	if err != nil {
		return Config{}, err
	}
	return c, s.Check()
}

// Check returns ErrZeroSNR if the network's prediction is of no use at the noisiest time step.
func (s *Schedule) Check() error {
	if s.Config.PredictionType == Epsilon && slices.Contains(s.AlphasCumprod, 0) {
		return ErrZeroSNR
	}
	return nil
}

func (c Config) leavesOut(key string) bool { return slices.Contains(c.Unstated, key) }

// isBase reports whether this is the file of Stable Diffusion's own scheduler. HistDiST's training leaves it in the
// folder, with the prediction type and spacing of the base model: it does not describe how the U-Net was fine-tuned.
func (c Config) isBase() bool {
	return c.ClassName == "PNDMScheduler" && c.leavesOut("rescale_betas_zero_snr")
}

// prediction returns the file's prediction type, or the default, and whether the file says so.
func (c Config) prediction() (_ PredictionType, said bool) {
	if c.leavesOut("prediction_type") || c.isBase() && c.PredictionType == Epsilon {
		return VPrediction, false
	}
	return c.PredictionType, true
}

// Notes lists for the user what in For contradicts the file, and what the file leaves open.
func (c Config) Notes(p PredictionType) []string {
	const file = "scheduler_config.json"
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	own, said := c.prediction()
	switch {
	case said && p != "" && p != own:
		note("prediction type %s, though %s says %s", p, file, own)
	case !said && p == "" && c.isBase():
		note("%s is that of Stable Diffusion (PNDMScheduler) and does not say how the U-Net was fine-tuned: prediction "+
			"type %s, as in the official implementation", file, own)
	case !said && p == "":
		note("%s has no prediction_type: %s, as in the official implementation", file, own)
	}
	if c.leavesOut("clip_sample") {
		note("%s has no clip_sample: false, as Stable Diffusion's (DDIMScheduler's default is true, for images)", file)
	} else if c.ClipSample {
		note("%s has clip_sample: latents are clipped to ±%g", file, c.ClipSampleRange)
	}
	used := c
	used.Unstated = nil
	if r, err := c.For(p); err == nil {
		used = r
	}
	var open []string
	for _, key := range c.Unstated {
		if key == "clip_sample_range" && !used.ClipSample {
			continue
		}
		switch key {
		case "prediction_type", "clip_sample":
		case "rescale_betas_zero_snr", "timestep_spacing":
			if c.isBase() || used.PredictionType == Epsilon {
				continue
			}
			open = append(open, fmt.Sprintf("%s %v", key, map[string]any{
				"rescale_betas_zero_snr": used.RescaleBetasZeroSNR, "timestep_spacing": used.TimestepSpacing,
			}[key]))
		default:
			open = append(open, fmt.Sprintf("%s %v", key, map[string]any{
				"num_train_timesteps": c.NumTrainTimesteps, "beta_schedule": c.BetaSchedule, "beta_start": c.BetaStart,
				"beta_end": c.BetaEnd, "steps_offset": c.StepsOffset, "set_alpha_to_one": c.SetAlphaToOne,
				"clip_sample_range": c.ClipSampleRange,
			}[key]))
		}
	}
	if len(open) > 0 {
		note("%s leaves open, and is taken to mean: %s", file, strings.Join(open, ", "))
	}
	return notes
}
