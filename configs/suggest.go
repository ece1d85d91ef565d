package configs

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// unknown is the error of a key that isn't known. It names those that may be meant.
func unknown(name string, keys []key) error {
	return fmt.Errorf("unknown key %s%s", name, didYouMean(suggest(name, keys)))
}

// didYouMean ends an error with names that may be meant, if there are any.
func didYouMean(names []string) string {
	switch n := len(names); n {
	case 0:
		return ""
	case 1:
		return ": did you mean " + names[0] + "?"
	default:
		return ": did you mean " + strings.Join(names[:n-1], ", ") + " or " + names[n-1] + "?"
	}
}

// maxSuggestions is how many names an error suggests at most.
const maxSuggestions = 3

// suggest returns the known keys and sections that a name which isn't known may stand for: those spelled nearly so, those of another
// section, those that other programs call so, and those that share words with it, the first of these that there are.
func suggest(name string, keys []key) []string {
	known := names(keys)
	given := words(name)
	last := words(lastPart(name))
	same := func(a, b []string) bool { return strings.Join(a, "-") == strings.Join(b, "-") }
	for _, like := range []func(k string) bool{
		func(k string) bool { return same(words(k), given) || typo(name, k) },
		func(k string) bool { return same(words(lastPart(k)), last) },
		func(k string) bool {
			return slices.ContainsFunc(strings.Fields(elsewhere[k]), func(s string) bool { return same(words(s), last) })
		},
		func(k string) bool { return typo(lastPart(name), lastPart(k)) },
	} {
		found := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !like(k) })
		if len(found) > 0 && len(found) <= maxSuggestions {
			return found
		}
	}
	return byWords(name, known)
}

// byWords returns the known name that shares most words with one that is given; rare words count for more, and so does its section.
func byWords(name string, known []string) []string {
	given := words(lastPart(name))
	shares := func(list []string, word string) bool {
		return slices.ContainsFunc(list, func(w string) bool { return sameStem(w, word) })
	}
	best, at := 0.0, []string(nil)
	for _, k := range known {
		its, score := words(lastPart(k)), 0.0
		for _, w := range its {
			if !shares(given, w) {
				continue
			}
			rarity := 0
			for _, other := range known {
				if shares(words(lastPart(other)), w) {
					rarity++
				}
			}
			score += 1 / float64(rarity*(len(its)+len(given)))
		}
		if strings.HasPrefix(k, name[:len(name)-len(lastPart(name))]) {
			score *= 1.5
		}
		switch {
		case score > best:
			best, at = score, []string{k}
		case score == best && score > 0:
			at = append(at, k)
		}
	}
	if len(at) > maxSuggestions {
		return nil
	}
	return at
}

// sameStem reports whether two words are forms of one: accumulate and accumulation, dir and directory.
func sameStem(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	n := 0
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n == len(b) || n == len(a) && n >= 3 || n >= 5
}

// words takes a name apart: batch_size, batch-size and batchSize are two words.
func words(name string) []string {
	var b strings.Builder
	lower := false
	for _, r := range name {
		if unicode.IsUpper(r) && lower {
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(r) || unicode.IsDigit(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// typo reports whether a name is a known one but for a letter or two.
func typo(name, known string) bool {
	most := max(1, min(3, len(lastPart(known))/4))
	return max(len(name)-len(known), len(known)-len(name)) <= most && edits(strings.ToLower(name), known) <= most
}

// edits is how many letters must be put in, left out, changed or swapped with the next to make b of a.
func edits(a, b string) int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
		table[i][0] = i
	}
	for j := range table[0] {
		table[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			table[i][j] = min(table[i-1][j]+1, table[i][j-1]+1, table[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				table[i][j] = min(table[i][j], table[i-2][j-2]+1)
			}
		}
	}
	return table[len(a)][len(b)]
}

// elsewhere has the names that keys have in diffusers, transformers, Lightning and timm.
var elsewhere = map[string]string{
	"model.base":              "pretrained-model-name-or-path pretrained pretrained-model model-name model-path unet init-from",
	"model.prompt":            "text caption instance-prompt",
	"data.dir":                "train-data-dir data-dir data-path dataset dataset-name dataset-path root data-root input",
	"data.crop":               "resolution size image-size img-size patch-size crop-size tile-size",
	"data.augment":            "random-flip augmentation augmentations center-crop",
	"data.batch":              "batch-size train-batch-size per-device-train-batch-size bs micro-batch-size",
	"data.workers":            "num-workers dataloader-num-workers",
	"data.read-ahead":         "prefetch-factor prefetch",
	"data.max-pairs":          "max-train-samples max-samples limit",
	"data.validation-split":   "val-split test-split",
	"train.steps":             "max-steps max-train-steps iterations num-steps train-steps epochs num-epochs num-train-epochs max-epochs",
	"train.accumulate":        "gradient-accumulation-steps accumulate-grad-batches grad-accum grad-accum-steps accumulation-steps",
	"train.lr":                "learning-rate max-lr base-lr initial-lr lr-max",
	"train.lr-schedule":       "lr-scheduler lr-scheduler-type scheduler schedule sched",
	"train.lr-warmup":         "warmup warmup-steps lr-warmup-steps num-warmup-steps",
	"train.lr-cycles":         "lr-num-cycles num-cycles",
	"train.adam-beta1":        "beta1 betas",
	"train.adam-beta2":        "beta2 betas",
	"train.adam-epsilon":      "eps epsilon adam-eps",
	"train.weight-decay":      "wd adam-weight-decay",
	"train.max-grad-norm":     "clip clip-grad clip-grad-norm gradient-clip-val gradient-clipping grad-clip",
	"train.ema":               "use-ema",
	"train.precision":         "mixed-precision dtype weight-dtype fp16 bf16 amp",
	"train.recompute":         "gradient-checkpointing activation-checkpointing grad-checkpointing",
	"train.checkpoint-every":  "checkpointing-steps save-steps save-every checkpoint-steps save-interval",
	"train.keep-last":         "checkpoints-total-limit save-total-limit save-top-k",
	"train.validate-every":    "validation-steps validation-epochs eval-steps eval-every val-check-interval check-val-every-n-epoch",
	"train.log-every":         "logging-steps log-every-n-steps log-interval log-steps",
	"train.snr-gamma":         "min-snr-gamma",
	"validation.translations": "num-validation-images validation-images",
	"run.output":              "output-dir out out-dir save-dir logging-dir default-root-dir",
	"run.device":              "devices gpu gpus accelerator cuda",
	"run.threads":             "num-threads cpus",
	"run.tensorboard":         "report-to logger",
}
