package train

import (
	"errors"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/option"
)

// Config says how a network is trained. A field's tag json is its name in checkpoints, in errors and in the section
// train of an experiment.
type Config struct {
	Objective  Objective `json:"objective" want:"diffusion, end-to-end or autoencoder" usage:"what is trained: diffusion (the U-Net), end-to-end (a U-Net for one step, by its image) or autoencoder"`
	Seed       int64     `json:"seed" usage:"seed of noise, order and crops"`
	MaxSteps   int       `json:"steps" want:"1 or more" usage:"optimisation steps of the run"`
	Accumulate int       `json:"accumulate" want:"1 or more" usage:"micro-steps of a step; the last step of an epoch may have fewer"`

	KLWeight float64 `json:"kl-weight" want:"0 or more" usage:"weight of an autoencoder's divergence against the squared error of the image"`

	TextureWeight float64 `json:"texture-weight" want:"0 or more" usage:"weight of the difference of local texture against the squared error of an image, for the objectives autoencoder and end-to-end; 0 is none"`
	DecoderOnly   bool    `json:"decoder-only" usage:"train an autoencoder's decoder alone, so that diffusion models of its latents remain valid"`

	Prediction        schedule.PredictionType `json:"prediction-type" want:"v_prediction or epsilon" usage:"what the network predicts: v_prediction or epsilon"`
	SNRGamma          float64                 `json:"snr-gamma" want:"0 or more" usage:"γ of the min-SNR weights of the loss; 0 is none"`
	NoiseOffset       float64                 `json:"noise-offset" want:"0 or more" usage:"scale of additional noise that is constant over a channel"`
	InputPerturbation float64                 `json:"input-perturbation" want:"0 or more" usage:"scale of additional noise on the input and the target"`

	InvertedNoise bool `json:"inverted-noise" usage:"in half of the translations the noise is like an inversion's, which has the H&E in it"`

	AlternateTasks      bool    `json:"alternate-tasks" usage:"generate in even micro-steps of an epoch, translate in odd ones"`
	TranslationFraction float64 `json:"translation-fraction" want:"0 to 1" usage:"probability of a translation, without alternate-tasks"`

	LearningRate
	AdamW
	Adapter
	MaxGradNorm float64 `json:"max-grad-norm" want:"0 or more" usage:"longer gradients are clipped to this norm; 0 is no clipping"`

	EMA      bool    `json:"ema" usage:"keep a moving average of the parameters"`
	EMADecay float64 `json:"ema-decay" want:"0 to 1" usage:"largest decay of the average"`

	ShardOptimizer bool `json:"shard-optimizer" usage:"each of several GPUs keeps the moments of a part of the parameters and updates those, which saves memory"`

	BucketMB float64 `json:"-" key:"bucket-mb" want:"0 or more" usage:"megabytes of gradients that several GPUs sum at a time, while the backward pass goes on; 0 is all of them after it"`

	Precision vm.Precision `json:"precision" want:"float32 or bfloat16" usage:"element type of activations: float32 or bfloat16; parameters and moments are float32"`
	Recompute bool         `json:"recompute" usage:"recompute activations in the backward pass instead of keeping them"`
	LowMemory bool         `json:"low-memory" usage:"use less memory, in more time: kernels without packed weights"`

	MaxSkipped int `json:"max-skipped" want:"0 or more" usage:"steps that may be skipped because a loss or gradient is not finite"`

	CheckpointEvery int  `json:"checkpoint-every" want:"0 or more" usage:"steps between checkpoints; 0 is at the end only"`
	KeepLast        int  `json:"keep-last" want:"0 or more" usage:"checkpoints to keep; 0 is all"`
	KeepEvery       int  `json:"keep-every" want:"0 or more" usage:"also keep checkpoints of steps divisible by this; 0 is none"`
	ContinueUnsaved bool `json:"continue-unsaved" usage:"go on if a checkpoint can't be written, on a full disk for example"`
	ValidateEvery   int  `json:"validate-every" want:"0 or more" usage:"steps between validations; 0 is never"`

	LogEvery int `json:"-" key:"log-every" want:"0 or more" usage:"steps between lines of the log; 0 is about 1000 lines in all, or a bar on a terminal"`
}

// Adapter says whether low-rank additions to the U-Net's weights are trained, instead of the weights: Hu et al. 2021,
// "LoRA: Low-Rank Adaptation of Large Language Models".
type Adapter struct {
	Kind   string       `json:"adapter" want:"lora or empty" usage:"lora trains low-rank additions to the U-Net's weights, which stay as they are; empty trains the weights"`
	Rank   int          `json:"adapter-rank" want:"1 or more" usage:"rank of the additions"`
	Alpha  float64      `json:"adapter-alpha" want:"0 or more" usage:"additions are multiplied by this over the rank; 0 is the rank"`
	Layers string       `json:"adapter-layers" usage:"layers with additions, separated by commas: attention, convolutions, or ends of layers' names, such as to_q"`
	Stored vm.Precision `json:"adapter-base" want:"float32 or bfloat16" usage:"element type in which the U-Net's weights are kept: float32, or bfloat16 for half of their memory, in more time"`
}

// lora reports whether an adapter is trained.
func (a Adapter) lora() bool { return a.Kind != "" }

// stored is the element type of the weights that are not trained.
func (a Adapter) stored() device.DType {
	if a.lora() && a.Stored == vm.BFloat16 {
		return device.BFloat16
	}
	return device.Float32
}

// Blind reports whether an adapter can't learn to use input channels that the U-Net didn't have and whose weights are
// zero.
func (a Adapter) Blind() bool { return a.lora() && !lora.Means(a.Layers, "conv_in", true) }

// AdamW holds the optimiser's constants.
type AdamW struct {
	Beta1       float64 `json:"adam-beta1" want:"0 or more, below 1" usage:"decay of the gradients' average"`
	Beta2       float64 `json:"adam-beta2" want:"0 or more, below 1" usage:"decay of the squared gradients' average"`
	Epsilon     float64 `json:"adam-epsilon" want:"above 0, below 1" usage:"added to the root of the second moment"`
	WeightDecay float64 `json:"weight-decay" want:"0 or more" usage:"decay of every parameter, biases and norms too"`
}

// Default is how the official implementation trains the paper's models, 300 epochs of 4096 pairs in batches of 48, but
// in float32 (bfloat16 there) and with more checkpoints.
func Default() Config {
	return Config{
		Objective: Diffusion, MaxSteps: 25800, Accumulate: 1, KLWeight: 1e-6,
		Prediction: schedule.VPrediction, SNRGamma: 5,
		AlternateTasks: true, TranslationFraction: 0.5,
		LearningRate: LearningRate{Schedule: Cosine, Base: 1.5e-4, Warmup: 1000},
		AdamW:        AdamW{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-2},
		Adapter:      Adapter{Rank: 16, Layers: lora.Attention},
		MaxGradNorm:  1, EMADecay: 0.9999, BucketMB: 25, Recompute: true,
		CheckpointEvery: 500, KeepLast: 2,
	}
}

// Validate reports everything that is wrong with the configuration, as option.KeyErrors.
func (c Config) Validate() error {
	errs := []error{option.Check(c), c.LearningRate.validate(c.MaxSteps)}
	if c.Objective != Autoencoder {
		if c.TextureWeight > 0 && c.Objective != EndToEnd {
			errs = append(errs, option.Wrong("texture-weight", "%g: objective %s makes no images: want 0", c.TextureWeight,
				c.Objective))
		}
		if c.DecoderOnly {
			errs = append(errs, option.Wrong("decoder-only", "true: objective %s trains no decoder: want false", c.Objective))
		}
	}
	if c.Adapter.lora() && c.Objective != Diffusion {
		errs = append(errs, option.Wrong("adapter", "%s: objective %s trains all weights: want none", c.Adapter.Kind,
			c.Objective))
	}
	return errors.Join(errs...)
}
