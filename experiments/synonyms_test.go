package experiments_test

import (
	"testing"

	"github.com/histdist/histdist/experiments"
)

// A key that isn't known is answered with what it is called here, whatever section and spelling it has.
func TestUnknownKeysAreAnswered(t *testing.T) {
	for name, want := range map[string]string{
		"train.stepps":                      "train.steps",
		"train.step":                        "train.steps",
		"data.cropp":                        "data.crop",
		"tranin.lr":                         "train.lr",
		"training":                          "train",
		"train.lr_warmup":                   "train.lr-warmup",
		"train.lrWarmup":                    "train.lr-warmup",
		"lr":                                "train.lr",
		"crop":                              "data.crop",
		"seed":                              "train.seed or validation.seed",
		"data.lr":                           "train.lr",
		"train.batch":                       "data.batch",
		"learning_rate":                     "train.lr",
		"train.learning_rate":               "train.lr",
		"train.learning-rate":               "train.lr",
		"train.learningRate":                "train.lr",
		"optimizer.learning_rate":           "train.lr",
		"train.gradient-accumulation-steps": "train.accumulate",
		"gradient_accumulation_steps":       "train.accumulate",
		"train.accumulation":                "train.accumulate",
		"batch_size":                        "data.batch",
		"train.batch-size":                  "data.batch",
		"data.batch_size":                   "data.batch",
		"train_batch_size":                  "data.batch",
		"num_workers":                       "data.workers",
		"mixed_precision":                   "train.precision",
		"max_train_steps":                   "train.steps",
		"epochs":                            "train.steps",
		"output_dir":                        "run.output",
		"output":                            "run.output",
		"train.output-folder":               "run.output",
		"resolution":                        "data.crop",
		"gradient_checkpointing":            "train.recompute",
		"pretrained_model_name_or_path":     "model.base",
		"train.checkpoint-steps":            "train.checkpoint-every",
		"train.checkpoint-interval":         "train.checkpoint-every",
		"train.validation-every":            "train.validate-every",
		"train.clip-norm":                   "train.max-grad-norm",
		"train.optimizer-epsilon":           "train.adam-epsilon",
		"data.validation-share":             "data.validation-fraction or data.validation-split",
		"device":                            "run.device",
		"gpus":                              "run.device",
		"train.flavour":                     "",
		"xyz":                               "",
		"1":                                 "",
	} {
		said := "--set " + name + "=1: unknown key " + name
		if want != "" {
			said += ": did you mean " + want + "?"
		}
		if _, _, got := experiments.Load("er", []string{name + "=1"}, nil); got == nil || got.Error() != said {
			t.Errorf("got  %s\nwant %s", got, said)
		}
	}
}
