package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vm"
)

// Config says how a network is trained. Default has the paper's values. A field's tag json is its name in checkpoints, in errors and in
// the section train of an experiment.
type Config struct {
	Objective  Objective `json:"objective" usage:"what is trained: diffusion, which is the U-Net, or autoencoder"`
	Seed       int64     `json:"seed" usage:"of noise, order and crops"`
	MaxSteps   int       `json:"steps" usage:"optimisation steps of the whole run"`
	Accumulate int       `json:"accumulate" usage:"micro-steps of an optimisation step; the last of an epoch may have fewer"`

	KLWeight float64 `json:"kl-weight" usage:"of an autoencoder's divergence against the squared error of the image"`

	Prediction        schedule.PredictionType `json:"prediction-type" usage:"what the network predicts: v_prediction or epsilon"`
	SNRGamma          float64                 `json:"snr-gamma" usage:"min-SNR weights of the loss; 0 is none"`
	NoiseOffset       float64                 `json:"noise-offset" usage:"noise that is one number for a channel, of this scale"`
	InputPerturbation float64                 `json:"input-perturbation" usage:"more noise of this scale; it changes the target too"`

	AlternateTasks      bool    `json:"alternate-tasks" usage:"generation in even micro-steps of an epoch, translation in odd ones"`
	TranslationFraction float64 `json:"translation-fraction" usage:"without alternate-tasks: the probability of a translation"`

	LearningRate
	AdamW
	MaxGradNorm float64 `json:"max-grad-norm" usage:"longer gradients are made this long; 0 is no clipping"`

	EMA      bool    `json:"ema" usage:"keep a moving average of the parameters"`
	EMADecay float64 `json:"ema-decay" usage:"the average's decay at most"`

	Precision string `json:"precision" usage:"of activations: float32 or bfloat16; parameters and moments are float32"`
	Recompute bool   `json:"recompute" usage:"compute activations again in the backward pass instead of keeping them"`
	LowMemory bool   `json:"low-memory" usage:"kernels without rearranged weights"`

	MaxSkipped int `json:"max-skipped" usage:"optimisation steps that may be left out because a loss or gradient isn't finite"`

	CheckpointEvery int  `json:"checkpoint-every" usage:"steps; 0 is at the end alone"`
	KeepLast        int  `json:"keep-last" usage:"checkpoints to keep; 0 is all"`
	KeepEvery       int  `json:"keep-every" usage:"also keep those of steps that this number divides; 0 is none"`
	ContinueUnsaved bool `json:"continue-unsaved" usage:"go on when a checkpoint can't be written, for lack of space say"`
	ValidateEvery   int  `json:"validate-every" usage:"steps; 0 is never"`

	LogEvery int `json:"-" key:"log-every" usage:"steps from one line of the log to the next; 0 makes about 1000 lines of a long run, and on a terminal a bar instead"`
}

// AdamW holds the optimiser's constants.
type AdamW struct {
	Beta1       float64 `json:"adam-beta1" usage:"decay of the gradients' average"`
	Beta2       float64 `json:"adam-beta2" usage:"decay of the squared gradients' average"`
	Epsilon     float64 `json:"adam-epsilon" usage:"added to the root of the second moment"`
	WeightDecay float64 `json:"weight-decay" usage:"of every parameter, biases and norms too"`
}

// Default is the configuration that the official implementation trains the paper's models with: 300 epochs of 4096 pairs in batches
// of 48. It differs in precision, which is bfloat16 there, and in how often it saves.
func Default() Config {
	return Config{
		Objective: Diffusion, MaxSteps: 25800, Accumulate: 1, KLWeight: 1e-6,
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
	want(c.Objective == Diffusion || c.Objective == Autoencoder, "objective is %q: want %s or %s", c.Objective, Diffusion, Autoencoder)
	least("steps", c.MaxSteps, 1)
	least("accumulate", c.Accumulate, 1)
	want(c.Prediction == schedule.VPrediction || c.Prediction == schedule.Epsilon,
		"prediction-type is %q: want %s or %s", c.Prediction, schedule.VPrediction, schedule.Epsilon)
	notNegative("kl-weight", c.KLWeight)
	notNegative("snr-gamma", c.SNRGamma)
	notNegative("noise-offset", c.NoiseOffset)
	notNegative("input-perturbation", c.InputPerturbation)
	want(c.TranslationFraction >= 0 && c.TranslationFraction <= 1, "translation-fraction is %g: want 0 to 1", c.TranslationFraction)
	if err := c.LearningRate.Validate(c.MaxSteps); err != nil {
		errs = append(errs, err)
	}
	want(c.AdamW.Beta1 >= 0 && c.AdamW.Beta1 < 1, "adam-beta1 is %g: want 0 or more and less than 1", c.AdamW.Beta1)
	want(c.AdamW.Beta2 >= 0 && c.AdamW.Beta2 < 1, "adam-beta2 is %g: want 0 or more and less than 1", c.AdamW.Beta2)
	want(c.AdamW.Epsilon > 0 && c.AdamW.Epsilon < 1, "adam-epsilon is %g: want more than 0, such as 1e-8", c.AdamW.Epsilon)
	notNegative("weight-decay", c.AdamW.WeightDecay)
	notNegative("max-grad-norm", c.MaxGradNorm)
	want(c.EMADecay >= 0 && c.EMADecay <= 1, "ema-decay is %g: want 0 to 1", c.EMADecay)
	want(c.Precision == vm.Float32.String() || c.Precision == vm.BFloat16.String(), "precision is %q: want float32 or bfloat16", c.Precision)
	least("max-skipped", c.MaxSkipped, 0)
	least("checkpoint-every", c.CheckpointEvery, 0)
	least("keep-last", c.KeepLast, 0)
	least("keep-every", c.KeepEvery, 0)
	least("validate-every", c.ValidateEvery, 0)
	least("log-every", c.LogEvery, 0)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("training: %w", err)
	}
	return nil
}
