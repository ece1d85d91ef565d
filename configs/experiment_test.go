package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/configs"
)

// folder writes files and returns their folder.
func folder(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// builtIn knows one experiment.
func builtIn(name string) ([]byte, bool) {
	return []byte("train:\n  steps: 11\n  lr: 0.5\nrun:\n  output: built-in\n"), name == "root"
}

func TestExperimentsExtendEachOther(t *testing.T) {
	dir := folder(t, map[string]string{
		"base.yaml": "extends: root\ntrain:\n  lr: 0.25\n  lr-warmup: 3\ndata:\n  dir: base\n",
		"er.yaml":   "extends: base\ndata:\n  dir: er\n",
	})
	t.Setenv("HISTDIST_DATA_BATCH", "7")
	e, values, err := configs.LoadExperiment(filepath.Join(dir, "er.yaml"), builtIn, []string{"train.lr-warmup=4"})
	if err != nil {
		t.Fatal(err)
	}
	if e.Train.MaxSteps != 11 || e.Train.Base != 0.25 || e.Train.Warmup != 4 || e.Data.Dir != "er" || e.Data.Batch != 7 || e.Run.Output != "built-in" {
		t.Errorf("%+v", e)
	}
	for key, want := range map[string]string{
		"train.steps": "root.yaml (built in):2", "train.lr": filepath.Join(dir, "base.yaml") + ":3", "data.dir": filepath.Join(dir, "er.yaml") + ":3",
		"train.lr-warmup": "--set", "data.batch": "HISTDIST_DATA_BATCH", "data.crop": "default",
	} {
		if got := origin(values, key); got != want {
			t.Errorf("%s comes from %q, want %q", key, got, want)
		}
	}
}

// What is written can be read, and is the same.
func TestYAMLReadsBack(t *testing.T) {
	_, values, err := configs.LoadExperiment("root", builtIn, []string{"data.dir=a: b", "train.lr=1e-3", "model.prompt=yes"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := configs.YAML(values, true)
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string]string{"again.yaml": string(text)})
	_, again, err := configs.LoadExperiment(filepath.Join(dir, "again.yaml"), builtIn, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for i, v := range values {
		if again[i].Key != v.Key || again[i].Value != v.Value {
			t.Errorf("%s is %v, was %v", again[i].Key, again[i].Value, v.Value)
		}
	}
}

// Everything that is wrong is told at once, with its line.
func TestExperimentErrors(t *testing.T) {
	tests := map[string]struct {
		file string
		set  []string
		want []string
	}{
		"values": {
			"extends: root\ntrain:\n  steps: 0\n  lr-schedule: sine\ndata:\n  layout: mits\n  batch: 0\n", nil,
			[]string{"x.yaml:3: train.steps is 0", "x.yaml:4: train.lr-schedule is \"sine\"", "x.yaml:6: data.layout is \"mits\"", "x.yaml:7: data.batch is 0"},
		},
		"keys":      {"train:\n  step: 3\ndata:\n  cropp: 3\n", nil, []string{"x.yaml:2: unknown key train.step: did you mean train.steps?", "x.yaml:4: unknown key data.cropp"}},
		"types":     {"extends: root\ntrain:\n  steps: many\n  ema: perhaps\n", nil, []string{"x.yaml:3: train.steps: many: want a whole number", "x.yaml:4: train.ema"}},
		"a section": {"train: 3\n", nil, []string{"x.yaml:1: train: want keys and values"}},
		"a value":   {"data:\n  dir:\n    a: b\n", nil, []string{"x.yaml:2: data.dir: want a text"}},
		"nothing":   {"data:\n  batch:\n", nil, []string{"x.yaml:2: data.batch: want a whole number"}},
		"missing":   {"extends: root\n", nil, []string{"data.dir is missing"}},
		"set":       {"extends: root\n", []string{"train.stepps=1", "lr"}, []string{"--set train.stepps=1: unknown key", "--set lr: want KEY=VALUE"}},
		"set value": {"extends: root\n", []string{"data.crop=-1"}, []string{"--set: data.crop is -1"}},
		"no parent": {"extends: nobody\n", nil, []string{"x.yaml: extends:", "nobody"}},
		"its own":   {"extends: x\n", nil, []string{"extends itself"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{"x.yaml": test.file})
			_, _, err := configs.LoadExperiment(filepath.Join(dir, "x.yaml"), builtIn, test.set)
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
