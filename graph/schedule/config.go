package schedule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/hfconfig"
)

// PredictionType is what the network predicts.
type PredictionType string

// The prediction types of diffusers. Epsilon is the noise, VPrediction the velocity √ᾱ·ε − √(1−ᾱ)·x₀ (Salimans and Ho,
// "Progressive Distillation for Fast Sampling of Diffusion Models", 2022), Sample the noise-free sample x₀.
const (
	Epsilon     PredictionType = "epsilon"
	VPrediction PredictionType = "v_prediction"
	Sample      PredictionType = "sample"
)

// BetaSchedule is how the noise variance β grows over the time steps.
type BetaSchedule string

// The beta schedules of diffusers. ScaledLinear is linear in √β; SquaredCos is that of Nichol and Dhariwal, "Improved
// Denoising Diffusion Probabilistic Models" (2021), and has no range.
const (
	Linear       BetaSchedule = "linear"
	ScaledLinear BetaSchedule = "scaled_linear"
	SquaredCos   BetaSchedule = "squaredcos_cap_v2"
)

// Spacing selects the time steps of a run: table 2 of Lin et al., "Common Diffusion Noise Schedules and Sample Steps
// are Flawed" (2023).
type Spacing string

// The spacings of diffusers. Leading begins at the first time step, Trailing ends at the last, Linspace does both.
const (
	Leading  Spacing = "leading"
	Trailing Spacing = "trailing"
	Linspace Spacing = "linspace"
)

// Config is diffusers' scheduler_config.json, which its schedulers share. Values of Stable Diffusion 1.5 are in
// brackets; keys that a file leaves out have DDIMScheduler's defaults.
type Config struct {
	ClassName         string // [PNDMScheduler]
	DiffusersVersion  string // [0.6.0]
	NumTrainTimesteps int    // [1000]

	BetaSchedule        BetaSchedule // [scaled_linear]
	BetaStart           float64      // [0.00085]
	BetaEnd             float64      // [0.012]
	TrainedBetas        []float64    // one for each time step, instead of the three above [none]
	RescaleBetasZeroSNR bool         // make the last time step pure noise [left out: false]

	PredictionType  PredictionType // [left out: epsilon]
	TimestepSpacing Spacing        // [left out: leading]
	StepsOffset     int            // added to the time steps of leading spacing [1]
	SetAlphaToOne   bool           // ᾱ is 1 before the first time step, else the first one's [false]

	ClipSample      bool    // clip predicted samples to ±ClipSampleRange; the default, true, is for pixels [false]
	ClipSampleRange float64 // [left out: 1]

	// Dynamic thresholding, for models of pixels. New refuses it.
	Thresholding             bool    // [left out: false]
	DynamicThresholdingRatio float64 // [left out: 0.995]
	SampleMaxValue           float64 // [left out: 1]

	// Unstated are the keys that matter and that a file leaves out, sorted; their values above are DDIMScheduler's
	// defaults.
	Unstated []string
	// Extra holds the keys without a meaning here, such as skip_prk_steps, to be written back.
	Extra map[string]json.RawMessage
}

// DefaultConfig is the configuration of an empty scheduler_config.json: the defaults of diffusers' DDIMScheduler.
func DefaultConfig() Config {
	return Config{
		ClassName:                "DDIMScheduler",
		NumTrainTimesteps:        1000,
		BetaSchedule:             Linear,
		BetaStart:                0.0001,
		BetaEnd:                  0.02,
		PredictionType:           Epsilon,
		TimestepSpacing:          Leading,
		SetAlphaToOne:            true,
		ClipSample:               true,
		ClipSampleRange:          1,
		DynamicThresholdingRatio: 0.995,
		SampleMaxValue:           1,
	}
}

// fields are the keys of the file, each with its place in c.
func (c *Config) fields() map[string]any {
	return map[string]any{
		"_class_name":                &c.ClassName,
		"_diffusers_version":         &c.DiffusersVersion,
		"num_train_timesteps":        &c.NumTrainTimesteps,
		"beta_schedule":              &c.BetaSchedule,
		"beta_start":                 &c.BetaStart,
		"beta_end":                   &c.BetaEnd,
		"trained_betas":              &c.TrainedBetas,
		"rescale_betas_zero_snr":     &c.RescaleBetasZeroSNR,
		"prediction_type":            &c.PredictionType,
		"timestep_spacing":           &c.TimestepSpacing,
		"steps_offset":               &c.StepsOffset,
		"set_alpha_to_one":           &c.SetAlphaToOne,
		"clip_sample":                &c.ClipSample,
		"clip_sample_range":          &c.ClipSampleRange,
		"thresholding":               &c.Thresholding,
		"dynamic_thresholding_ratio": &c.DynamicThresholdingRatio,
		"sample_max_value":           &c.SampleMaxValue,
	}
}

// UnmarshalJSON reads the text of a scheduler_config.json. Unknown keys go to Extra. It checks types; New checks
// values, which a run may override.
func (c *Config) UnmarshalJSON(text []byte) error {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return err
	}
	read := DefaultConfig()
	fields := read.fields()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		field, known := fields[key]
		if !known {
			if read.Extra == nil {
				read.Extra = map[string]json.RawMessage{}
			}
			read.Extra[key] = keys[key]
			continue
		}
		if err := json.Unmarshal(keys[key], field); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if text := keys[key]; (text == nil || string(text) == "null") && read.matters(key) {
			read.Unstated = append(read.Unstated, key)
		}
	}
	*c = read
	return nil
}

// matters reports whether sampling depends on a key, given the others.
func (c *Config) matters(key string) bool {
	switch key {
	case "beta_schedule":
		return c.TrainedBetas == nil
	case "beta_start", "beta_end":
		return c.TrainedBetas == nil && c.BetaSchedule != SquaredCos
	case "steps_offset":
		return c.TimestepSpacing == Leading
	case "clip_sample_range":
		return c.ClipSample
	}
	return slices.Contains([]string{
		"num_train_timesteps", "rescale_betas_zero_snr", "prediction_type", "timestep_spacing", "set_alpha_to_one",
		"clip_sample",
	}, key)
}

// MarshalJSON writes all keys, including Extra, sorted as diffusers sorts them.
func (c Config) MarshalJSON() ([]byte, error) {
	keys := map[string]any{}
	for key, value := range c.Extra {
		keys[key] = value
	}
	for key, field := range c.fields() {
		keys[key] = field
	}
	return json.Marshal(keys)
}

// ReadConfig reads a scheduler_config.json.
func ReadConfig(path string) (Config, error) {
	text, err := hfconfig.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read scheduler configuration: %w", err)
	}
	var c Config
	if err := json.Unmarshal(text, &c); err != nil {
		return Config{}, fmt.Errorf("read scheduler configuration %s: %w", path, err)
	}
	return c, nil
}

// WriteConfig writes a scheduler_config.json as diffusers does: sorted keys, indented. A crash leaves the old file or
// the new one.
func WriteConfig(path string, c Config) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write scheduler configuration %s: %w", path, err)
	}
	if err := atomicfile.Write(path, append(bytes.TrimSpace(text), '\n')); err != nil {
		return fmt.Errorf("write scheduler configuration: %w", err)
	}
	return nil
}
