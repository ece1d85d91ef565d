package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vm"
)

// Config says how a network is trained. Default has the paper's values.
type Config struct {
	Seed       int64 `json:"seed"`
	MaxSteps   int   `json:"max_steps"`  // optimisation steps of the whole run
	Accumulate int   `json:"accumulate"` // micro-steps of an optimisation step; the last of an epoch may have fewer

	Prediction        schedule.PredictionType `json:"prediction"` // v_prediction or epsilon
	SNRGamma          float64                 `json:"snr_gamma"`  // min-SNR weights of the loss; 0 means none
	NoiseOffset       float64                 `json:"noise_offset"`
	InputPerturbation float64                 `json:"input_perturbation"` // of the noise, hence of the target too

	AlternateTasks      bool    `json:"alternate_tasks"`      // generation in even micro-steps of an epoch, translation in odd ones
	TranslationFraction float64 `json:"translation_fraction"` // else: the probability of a translation

	LearningRate LearningRate `json:"learning_rate"`
	AdamW        AdamW        `json:"adamw"`
	MaxGradNorm  float64      `json:"max_grad_norm"` // 0 means no clipping

	EMA      bool    `json:"ema"`       // keep a moving average of the parameters
	EMADecay float64 `json:"ema_decay"` // its decay at most

	Precision string `json:"precision"`  // of activations, float32 or bfloat16; parameters and moments are float32
	Recompute bool   `json:"recompute"`  // activations in the backward pass, instead of keeping them
	LowMemory bool   `json:"low_memory"` // kernels without rearranged weights

	MaxSkipped int `json:"max_skipped"` // optimisation steps that may be left out because a loss or gradient isn't finite

	CheckpointEvery int  `json:"checkpoint_every"` // steps; 0 means at the end alone
	KeepLast        int  `json:"keep_last"`        // checkpoints; 0 means all
	KeepEvery       int  `json:"keep_every"`       // keep those of steps that it divides, too; 0 means none
	ContinueUnsaved bool `json:"continue_unsaved"` // go on when a checkpoint can't be written, for lack of space say
	ValidateEvery   int  `json:"validate_every"`   // steps; 0 means never
}

// AdamW holds the optimiser's constants.
type AdamW struct {
	Beta1       float64 `json:"beta1"`
	Beta2       float64 `json:"beta2"`
	Epsilon     float64 `json:"epsilon"`
	WeightDecay float64 `json:"weight_decay"` // of every parameter, biases and norms too
}

// Default is the configuration that the official implementation trains the paper's models with: 300 epochs of 4096 pairs in batches
// of 48. It differs in precision, which is bfloat16 there, and in how often it saves.
func Default() Config {
	return Config{
		MaxSteps: 25800, Accumulate: 1,
		Prediction: schedule.VPrediction, SNRGamma: 5,
		AlternateTasks: true, TranslationFraction: 0.5,
		LearningRate: LearningRate{Schedule: Cosine, Base: 1.5e-4, Warmup: 1000},
		AdamW:        AdamW{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-2},
		MaxGradNorm:  1, EMADecay: 0.9999, Precision: vm.Float32.String(), Recompute: true,
		CheckpointEvery: 500, KeepLast: 2,
	}
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	least := func(key string, value, low int) {
		want(value >= low, "%s is %d: want at least %d", key, value, low)
	}
	notNegative := func(key string, value float64) {
		want(value >= 0 && !math.IsInf(value, 1), "%s is %g: want 0 or more", key, value)
	}
	least("max_steps", c.MaxSteps, 1)
	least("accumulate", c.Accumulate, 1)
	want(c.Prediction == schedule.VPrediction || c.Prediction == schedule.Epsilon,
		"prediction is %q: want %s or %s", c.Prediction, schedule.VPrediction, schedule.Epsilon)
	notNegative("snr_gamma", c.SNRGamma)
	notNegative("noise_offset", c.NoiseOffset)
	notNegative("input_perturbation", c.InputPerturbation)
	want(c.TranslationFraction >= 0 && c.TranslationFraction <= 1, "translation_fraction is %g: want 0 to 1", c.TranslationFraction)
	if err := c.LearningRate.Validate(c.MaxSteps); err != nil {
		errs = append(errs, err)
	}
	want(c.AdamW.Beta1 >= 0 && c.AdamW.Beta1 < 1, "adamw: beta1 is %g: want 0 or more and less than 1", c.AdamW.Beta1)
	want(c.AdamW.Beta2 >= 0 && c.AdamW.Beta2 < 1, "adamw: beta2 is %g: want 0 or more and less than 1", c.AdamW.Beta2)
	want(c.AdamW.Epsilon > 0 && c.AdamW.Epsilon < 1, "adamw: epsilon is %g: want more than 0, such as 1e-8", c.AdamW.Epsilon)
	notNegative("adamw: weight_decay", c.AdamW.WeightDecay)
	notNegative("max_grad_norm", c.MaxGradNorm)
	want(c.EMADecay >= 0 && c.EMADecay <= 1, "ema_decay is %g: want 0 to 1", c.EMADecay)
	want(c.Precision == vm.Float32.String() || c.Precision == vm.BFloat16.String(), "precision is %q: want float32 or bfloat16", c.Precision)
	least("max_skipped", c.MaxSkipped, 0)
	least("checkpoint_every", c.CheckpointEvery, 0)
	least("keep_last", c.KeepLast, 0)
	least("keep_every", c.KeepEvery, 0)
	least("validate_every", c.ValidateEvery, 0)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("training: %w", err)
	}
	return nil
}
