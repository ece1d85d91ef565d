package configs_test

import (
	"os"
	"path/filepath"
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
	e, values, err := loadExperiment(filepath.Join(dir, "er.yaml"), builtIn, []string{"train.lr-warmup=4"})
	if err != nil {
		t.Fatal(err)
	}
	if e.Train.MaxSteps != 11 || e.Train.Base != 0.25 || e.Train.Warmup != 4 || e.Data.Root != "er" || e.Data.Batch != 7 ||
		e.Run.Output != "built-in" {
		t.Errorf("%+v", e)
	}
	for key, want := range map[string]string{
		"train.steps": "root.yaml (built in):2",
		"train.lr":    filepath.Join(dir, "base.yaml") + ":3", "data.dir": filepath.Join(dir, "er.yaml") + ":3",
		"train.lr-warmup": "--set", "data.batch": "HISTDIST_DATA_BATCH", "data.crop": "default",
	} {
		if got := origin(values, key); got != want {
			t.Errorf("%s comes from %q, want %q", key, got, want)
		}
	}
}

// What is written can be read, and is the same.
func TestYAMLReadsBack(t *testing.T) {
	_, values, err := loadExperiment("root", builtIn, []string{"data.dir=a: b", "train.lr=1e-3", "model.prompt=yes"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := configs.YAML(values, configs.Origins)
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string]string{"again.yaml": string(text)})
	_, again, err := loadExperiment(filepath.Join(dir, "again.yaml"), builtIn, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for i, v := range values {
		if again[i].Key != v.Key || again[i].Value != v.Value {
			t.Errorf("%s is %v, was %v", again[i].Key, again[i].Value, v.Value)
		}
	}
}
