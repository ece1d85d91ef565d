package configs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/experiments"
)

// experiment loads a file that adds to a valid experiment, and returns an error's text with the file's name in it as
// x.yaml.
func experiment(t testing.TB, text string, set ...string) (experiments.Config, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	e, _, err := loadExperiment(path, valid, set)
	if err == nil {
		return e, ""
	}
	return e, strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")
}

// loadExperiment loads and checks an experiment.
func loadExperiment(path string, builtIn func(string) ([]byte, bool), set []string) (
	experiments.Config, []configs.Value, error,
) {
	e := experiments.Default()
	values, err := configs.Load(&e, configs.Sources{
		Path: path, BuiltIn: builtIn, Set: set, Synonyms: map[string]string{"train.lr": "learning-rate"},
	})
	if values != nil {
		err = errors.Join(err, configs.Locate(e.Validate(), values))
	}
	return e, values, err
}

// valid knows an experiment that lacks nothing.
func valid(name string) ([]byte, bool) {
	return []byte("data:\n  dir: tissue\nrun:\n  output: runs/x\n"), name == "valid"
}

// A value that a flag would refuse is refused in a file, in the environment and after --set, too, with the same words.
func TestValuesAreAsStrictEverywhere(t *testing.T) {
	tests := map[string]struct{ key, value, want string }{
		"a fraction of a step":       {"train.steps", "60.5", "60.5: want a whole number"},
		"a fraction of a micro-step": {"train.accumulate", "2.9", "2.9: want a whole number"},
		"true as a number":           {"train.lr", "true", "true: want a number"},
		"true as a whole number":     {"data.batch", "true", "true: want a whole number"},
		"a number as yes or no":      {"train.ema", "1", "1: want true or false: write true"},
		"no as yes or no":            {"data.augment", "no", "no: want true or false: write false"},
		"a seed beyond 64 bits": {
			"train.seed", "1e30",
			"1e30: too large: want a whole number from -9223372036854775808 to 9223372036854775807",
		},
		"steps beyond 64 bits": {
			"train.steps", "99999999999999999999999",
			"99999999999999999999999: too large: want a whole number from -9223372036854775808 to 9223372036854775807",
		},
		"just beyond 64 bits": {
			"run.threads", "9223372036854775808",
			"9223372036854775808: too large: want a whole number from -9223372036854775808 to 9223372036854775807",
		},
		"an exponent": {
			"train.steps", "1e3",
			"1e3: want a whole number without point and exponent: write 1000",
		},
		"a point and nothing behind": {
			"validation.pairs", "8.0",
			"8.0: want a whole number without point and exponent: write 8",
		},
		"a leading zero":              {"train.lr-warmup", "010", "010: want a whole number without a leading zero"},
		"infinity":                    {"train.lr", ".inf", ".inf: want a finite number"},
		"infinity as Go writes it":    {"train.max-grad-norm", "+Inf", "+Inf: want a finite number"},
		"no number":                   {"train.snr-gamma", "NaN", "NaN: want a finite number"},
		"no number as YAML writes it": {"train.weight-decay", ".nan", ".nan: want a finite number"},
		"too large a number":          {"train.lr", "1e400", "1e400: too large: want a number up to 1.7976931348623157e+308"},
		"too small a number": {
			"train.adam-epsilon", "1e-400",
			"1e-400: too small: want 0, or a number from 5e-324 on",
		},
		"a word as a number": {"train.lr", "small", "small: want a number"},
		"a date as a number": {"train.steps", "2026-07-31", "2026-07-31: want a whole number"},
		"a list in a text":   {"train.steps", "'[1, 2]'", "'[1, 2]': want a whole number"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := fmt.Sprintf("%s: %s", test.key, test.want)
			section, key, _ := strings.Cut(test.key, ".")
			if test.value[0] != '\'' {
				_, got := experiment(t, fmt.Sprintf("extends: valid\n%s:\n  %s: %s\n", section, key, test.value))
				if diff := cmp.Diff("x.yaml:3: "+want, got); diff != "" {
					t.Errorf("in a file: %s", diff)
				}
			}
			_, got := experiment(t, "extends: valid\n", test.key+"="+test.value)
			if diff := cmp.Diff("--set: "+want, got); diff != "" {
				t.Errorf("after --set: %s", diff)
			}
			t.Setenv(configs.Variable(test.key), test.value)
			_, got = experiment(t, "extends: valid\n")
			if diff := cmp.Diff(configs.Variable(test.key)+": "+want, got); diff != "" {
				t.Errorf("in the environment: %s", diff)
			}
		})
	}
}

func TestValuesThatAreAccepted(t *testing.T) {
	e, wrong := experiment(t, `extends: valid
data: {crop: "256", batch: 0x10, dir: "2026-07-31"}
train.steps: 1_000
train: {lr: 3, ema: TRUE, seed: -9223372036854775808}
validation: {pairs: &n 3, translations: *n}
run:
model: ~
`, "model.prompt=true")
	if wrong != "" {
		t.Fatal(wrong)
	}
	got := []any{
		e.Data.Crop, e.Data.Batch, e.Data.Root, e.Train.MaxSteps, e.Train.Base, e.Train.EMA, e.Train.Seed,
		e.Validation.Pairs, e.Validation.Translations, e.Model.Prompt,
	}
	if diff := cmp.Diff([]any{256, 16, "2026-07-31", 1000, 3.0, true, int64(-9223372036854775808), 3, 3, "true"},
		got); diff != "" {
		t.Error(diff)
	}
}

// What is written can be read, and is the same.
func TestValuesReadBack(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		set := []string{
			"model.prompt=" + rapid.StringMatching(`[ -~äµ]{0,12}`).Draw(t, "prompt"),
			fmt.Sprintf("train.seed=%d", rapid.Int64().Draw(t, "seed")),
			fmt.Sprintf("train.lr=%g", rapid.Float64Range(1e-300, 1e300).Draw(t, "lr")),
			"data.dir=" + rapid.SampledFrom([]string{
				"true", "1", "1e3", "2026-07-31", "~", "null", "a: b", "<<", "=",
				"*a", "- a", "#", ".inf", "x\ny", "\t",
			}).Draw(t, "dir"),
		}
		_, values, err := loadExperiment("valid", valid, set)
		if err != nil {
			t.Fatal(err)
		}
		text, err := configs.YAML(values, configs.NoComments)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "again.yaml")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		_, again, err := loadExperiment(path, valid, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		for i, v := range values {
			if again[i].Key != v.Key || again[i].Value != v.Value {
				t.Errorf("%s is %v, was %v", again[i].Key, again[i].Value, v.Value)
			}
		}
	})
}

// A variable that no key has is a spelling mistake.
func TestUnknownEnvironmentVariable(t *testing.T) {
	t.Setenv("HISTDIST_TRAIN_LEARNING_RATE", "1")
	t.Setenv("HISTDIST_GOLDEN_DATA", "1") // of no section
	_, got := experiment(t, "extends: valid\n")
	if want := "unknown environment variable HISTDIST_TRAIN_LEARNING_RATE: did you mean HISTDIST_TRAIN_LR?"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzExperiment: no text panics, and what a valid one sets is what it says.
func FuzzExperiment(f *testing.F) {
	for _, text := range []string{
		"train:\n  steps: 60.5\n", "train: &a\n  steps: *a\n", "a: b: c\n", "- a\n", "he,ihc\na,b\n", "{a: [",
		"? {a: b}\n: c\n", "extends: [x]\n", "---\n---\n", "\tx",
		"train.steps: 3\n", "data:\n  dir: \"\\x\"\n", "\xef\xbb\xbftrain:\n", "%YAML 9\n---\na: b",
		"x: *y\n", "<<: {a: b}\n", "!!binary a: b\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, values, err := loadExperiment(path, valid, []string{"data.dir=x", "run.output=x"})
		if err == nil && len(values) == 0 {
			t.Error("no values and no error")
		}
		if none := (*configs.NoFileError)(nil); errors.As(err, &none) && !strings.Contains(text, "extends") {
			t.Errorf("%v", err)
		}
	})
}
