package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/histdist/histdist/configs"
)

func write(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "options.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// load parses flags and loads a file.
func load(t *testing.T, file string, args ...string) (configs.Translate, []configs.Value, error) {
	c := configs.DefaultTranslate()
	set := pflag.NewFlagSet("translate", pflag.ContinueOnError)
	flags := configs.AddFlags(set, &c, "translate")
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	values, err := configs.LoadFile(&c, file, flags)
	return c.Translate, values, err
}

func origin(values []configs.Value, key string) string {
	for _, v := range values {
		if v.Key == key {
			return v.Origin
		}
	}
	return ""
}

// A value in a stronger source wins, and its origin is told.
func TestPrecedence(t *testing.T) {
	const key = "translate.seed"
	file := write(t, "translate:\n  model: m\n  seed: 3\n")
	steps := []struct {
		name   string
		file   string
		env    string
		args   []string
		want   int64
		origin string
	}{
		{"default", "", "", nil, 0, "default"},
		{"file", file, "", nil, 3, file + ":3"},
		{"environment", file, "5", nil, 5, "HISTDIST_TRANSLATE_SEED"},
		{"flag", file, "5", []string{"--seed", "7"}, 7, "--seed"},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			if s.env != "" {
				t.Setenv(configs.Variable(key), s.env)
			}
			c, values, err := load(t, s.file, s.args...)
			if err != nil {
				t.Fatal(err)
			}
			if c.Seed != s.want || origin(values, key) != s.origin {
				t.Errorf("seed %d from %q, want %d from %q", c.Seed, origin(values, key), s.want, s.origin)
			}
		})
	}
}

func TestEveryKeyCanBeSet(t *testing.T) {
	c, values, err := load(t, write(t, `translate:
  eta: constant:0.3
  normalize: steps
  prediction-type: epsilon
  panel: true
  steps-translation: 50
`))
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Eta.String(), string(c.Normalize), string(c.PredictionType), c.Panel, c.StepsTranslation}
	if diff := cmp.Diff([]any{"constant:0.3", "steps", "epsilon", true, 50}, got); diff != "" {
		t.Error(diff)
	}
	if len(values) < 20 {
		t.Errorf("%d values are told, want all", len(values))
	}
}

func TestErrors(t *testing.T) {
	tests := map[string]struct {
		file string
		want []string
	}{
		"unknown keys": {"translate:\n  steps_inversion: 3\ntranlate:\n  seed: 1\n", []string{":2: unknown key translate.steps_inversion", "did you mean translate.steps-inversion?", ":3: unknown key tranlate"}},
		"wrong types":  {"translate:\n  seed: many\n  panel: perhaps\n", []string{":2: translate.seed: many: want a whole number", ":3: translate.panel"}},
		"wrong text":   {"translate:\n  eta: often\n", []string{"eta \"often\"", "cosine_min_20"}},
		"twice":        {"translate:\n  seed: 1\n  seed: 2\n", []string{"seed"}},
		"no YAML":      {"translate: [\n", []string{"options.yaml"}},
		"a list":       {"- a\n", []string{"want keys and values"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, write(t, test.file))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestTranslateValidate(t *testing.T) {
	c, _, err := load(t, "", "--steps-inversion", "1", "--batch", "0")
	if err != nil {
		t.Fatal(err)
	}
	err = c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"--model is missing", "--input is missing", "--output is missing", "batch: 0", "1 steps of the inversion"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
}
