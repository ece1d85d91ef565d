package train_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/train"
)

func TestDefaultIsValid(t *testing.T) {
	if err := train.Default().Validate(); err != nil {
		t.Error(err)
	}
}

// TestValidateReportsEverything breaks every key and looks for all of them in one error.
func TestValidateReportsEverything(t *testing.T) {
	c := train.Config{
		SNRGamma: -1, NoiseOffset: -1, InputPerturbation: -1, TranslationFraction: 2, MaxGradNorm: -1, EMADecay: 2,
		MaxSkipped: -1, CheckpointEvery: -1, KeepLast: -1, KeepEvery: -1, ValidateEvery: -1,
		LearningRate: train.LearningRate{Warmup: -1, Cycles: -1}, Precision: vm.Float64,
	}
	c.AdamW.Beta1, c.AdamW.Beta2, c.AdamW.WeightDecay = 1, -1, -1
	err := c.Validate()
	named := map[string]bool{}
	for _, e := range option.Split(err) {
		if k := (*option.KeyError)(nil); errors.As(e, &k) {
			named[k.Key] = true
		}
	}
	for _, key := range []string{
		"steps", "accumulate", "prediction-type", "snr-gamma", "noise-offset", "input-perturbation", "translation-fraction",
		"lr-schedule", "lr",
		"lr-warmup", "lr-cycles", "adam-beta1", "adam-beta2", "adam-epsilon", "weight-decay", "max-grad-norm", "ema-decay",
		"precision",
		"max-skipped", "checkpoint-every", "keep-last", "keep-every", "validate-every",
	} {
		if !named[key] {
			t.Errorf("error does not name %s:\n%v", key, err)
		}
	}
}

// TestLearningRates: never above the base, from 0 with a warm-up, and there where it ends.
func TestLearningRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.IntRange(2, 1000).Draw(t, "steps")
		l := train.LearningRate{
			Schedule: rapid.SampledFrom([]train.LRSchedule{
				train.Constant, train.ConstantWithWarmup, train.Linear, train.Cosine, train.CosineWithRestarts, train.Polynomial,
			}).Draw(t, "schedule"),
			Base:   rapid.Float64Range(1e-6, 1).Draw(t, "base"),
			Warmup: rapid.IntRange(0, steps-1).Draw(t, "warmup"),
		}
		if err := validate(l, steps); err != nil {
			t.Fatal(err)
		}
		for step := range steps + 1 {
			if lr := l.At(step, steps); !(lr >= 0 && lr <= l.Base*(1+1e-12)) {
				t.Fatalf("step %d: %g, the base is %g", step, lr, l.Base)
			}
		}
		if l.Schedule != train.Constant && l.Warmup > 0 && l.At(0, steps) != 0 {
			t.Fatalf("begins with %g", l.At(0, steps))
		}
		if l.Schedule != train.Constant && l.Schedule != train.ConstantWithWarmup && l.At(steps, steps) > 1e-6 {
			t.Fatalf("ends with %g", l.At(steps, steps))
		}
	})
}

// validate checks a learning rate in a run of so many steps.
func validate(l train.LearningRate, steps int) error {
	c := train.Default()
	c.LearningRate, c.MaxSteps = l, steps
	return c.Validate()
}
