package experiments

// synonyms are the names that diffusers, transformers, Lightning and timm have for keys.
var synonyms = map[string]string{
	"model.base": "pretrained-model-name-or-path pretrained pretrained-model model-name model-path unet " +
		"init-from",
	"model.prompt":          "text caption instance-prompt",
	"data.dir":              "train-data-dir data-dir data-path dataset dataset-name dataset-path root data-root input",
	"data.crop":             "resolution size image-size img-size patch-size crop-size tile-size",
	"data.augment":          "random-flip augmentation augmentations center-crop",
	"data.batch":            "batch-size train-batch-size per-device-train-batch-size bs micro-batch-size",
	"data.workers":          "num-workers dataloader-num-workers",
	"data.read-ahead":       "prefetch-factor prefetch",
	"data.max-pairs":        "max-train-samples max-samples limit",
	"data.validation-split": "val-split test-split",
	"train.steps": "max-steps max-train-steps iterations num-steps train-steps epochs num-epochs " +
		"num-train-epochs max-epochs",
	"train.accumulate": "gradient-accumulation-steps accumulate-grad-batches grad-accum grad-accum-steps " +
		"accumulation-steps",
	"train.lr":               "learning-rate max-lr base-lr initial-lr lr-max",
	"train.lr-schedule":      "lr-scheduler lr-scheduler-type scheduler schedule sched",
	"train.lr-warmup":        "warmup warmup-steps lr-warmup-steps num-warmup-steps",
	"train.lr-cycles":        "lr-num-cycles num-cycles",
	"train.adam-beta1":       "beta1 betas",
	"train.adam-beta2":       "beta2 betas",
	"train.adam-epsilon":     "eps epsilon adam-eps optimizer-epsilon",
	"train.weight-decay":     "wd adam-weight-decay",
	"train.max-grad-norm":    "clip clip-grad clip-grad-norm gradient-clip-val gradient-clipping grad-clip",
	"train.ema":              "use-ema",
	"train.precision":        "mixed-precision dtype weight-dtype fp16 bf16 amp",
	"train.recompute":        "gradient-checkpointing activation-checkpointing grad-checkpointing",
	"train.checkpoint-every": "checkpointing-steps save-steps save-every checkpoint-steps save-interval",
	"train.keep-last":        "checkpoints-total-limit save-total-limit save-top-k",
	"train.validate-every": "validation-steps validation-epochs eval-steps eval-every val-check-interval " +
		"check-val-every-n-epoch",
	"train.log-every":         "logging-steps log-every-n-steps log-interval log-steps",
	"train.snr-gamma":         "min-snr-gamma",
	"validation.translations": "num-validation-images validation-images",
	"run.output":              "output-dir out out-dir save-dir logging-dir default-root-dir",
	"run.device":              "devices gpu gpus accelerator cuda",
	"run.threads":             "num-threads cpus",
	"run.tensorboard":         "report-to logger",
}
