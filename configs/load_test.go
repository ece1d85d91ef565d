package configs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/infer"
)

func write(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "options.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// translateOptions are some options of a command.
type translateOptions struct {
	Model string `key:"model" was:"weights"`
	infer.Settings
	Panel bool `key:"panel"`
}

// load parses flags and loads a file.
func load(t *testing.T, file string, args ...string) (translateOptions, []configs.Value, error) {
	var c struct {
		Translate translateOptions `key:"translate"`
	}
	c.Translate.Settings = infer.DefaultSettings()
	set := pflag.NewFlagSet("translate", pflag.ContinueOnError)
	flags := configs.AddFlags(set, &c, "translate")
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	values, err := configs.Load(&c, configs.Sources{Path: file, Flags: flags})
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
	got := []any{c.EtaTranslation.String(), string(c.Normalize), string(c.Prediction), c.Panel, c.StepsTranslation}
	if diff := cmp.Diff([]any{"constant:0.3", "steps", "epsilon", true, 50}, got); diff != "" {
		t.Error(diff)
	}
	if len(values) != 14 {
		t.Errorf("%d values are told, want all", len(values))
	}
}

// Fill stands below everything that was given, even where that is the default.
func TestFill(t *testing.T) {
	_, values, err := load(t, write(t, "translate:\n  steps-inversion: 100\n"), "--eta", "linear")
	if err != nil {
		t.Fatal(err)
	}
	configs.Fill(values, "translate", schedule.Sampling{
		StepsInversion: 5, StepsTranslation: 15, Solver: schedule.SolverSA, EtaTranslation: schedule.EtaZero(),
	}, "preset quick")
	var got []string
	for _, v := range values {
		switch v.Key {
		case "translate.steps-inversion", "translate.steps-translation", "translate.solver", "translate.eta",
			"translate.seed":
			name, _, _ := strings.Cut(v.Origin, "/")
			got = append(got, fmt.Sprint(v.Value, " ", name))
		}
	}
	want := []string{"100 ", "15 preset quick", "sa preset quick", "linear --eta", "0 default"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// An earlier key goes on working, in files and in the environment.
func TestEarlierKeys(t *testing.T) {
	file := write(t, "translate:\n  weights: a\n")
	c, values, err := load(t, file)
	if err != nil || c.Model != "a" || origin(values, "translate.model") != file+":2" {
		t.Errorf("%q from %s, %v", c.Model, origin(values, "translate.model"), err)
	}
	t.Setenv("HISTDIST_TRANSLATE_WEIGHTS", "b")
	if c, _, err := load(t, file); err != nil || c.Model != "b" {
		t.Errorf("%q, %v", c.Model, err)
	}
	var said []string
	var config struct {
		Translate translateOptions `key:"translate"`
	}
	hear := func(text string) { said = append(said, text) }
	if _, err := configs.Load(&config, configs.Sources{Path: file, Note: hear}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		file + ":2: translate.weights is now called translate.model",
		"HISTDIST_TRANSLATE_WEIGHTS: translate.weights is now called translate.model",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}
