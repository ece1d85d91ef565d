package experiments_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/experiments"
)

// A name that is no experiment is answered with those that are built in.
func TestNoExperiment(t *testing.T) {
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	child := filepath.Join(dir, "child.yaml")
	for path, text := range map[string]string{
		filepath.Join(run, "experiment.yaml"): "extends: demo\n",
		child:                                 "extends: parent\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wanted := "; want the path of a YAML file, or a built-in experiment: " + strings.Join(experiments.Names(), ", ")
	for path, want := range map[string]string{
		"nothing":                     "nothing: no such file" + wanted,
		"nothing.yaml":                "nothing.yaml: no such file" + wanted,
		filepath.Join(dir, "er.yaml"): filepath.Join(dir, "er.yaml") + ": no such file" + wanted, // not the built-in er
		dir:                           dir + " is a folder" + wanted,
		run: run + " is a folder" + wanted + "\nthe run in this folder is " +
			filepath.Join(run, "experiment.yaml"),
		child:                             child + ": extends: " + filepath.Join(dir, "parent") + ": no such file" + wanted,
		filepath.Join(child, "something"): "open " + filepath.Join(child, "something") + ": not a directory",
	} {
		if _, _, err := experiments.Load(path, nil, nil); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for _, path := range []string{"er", "er.yaml", "experiments/er.yaml", "./experiments/er.yaml"} {
		t.Chdir(dir) // a folder without experiments
		if _, _, err := experiments.Load(path, nil, nil); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The folder that holds a run's file is the run, unless another is asked for.
func TestRunIsWhereItsFileIs(t *testing.T) {
	t.Chdir(t.TempDir())
	made := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const run = "data:\n  dir: tissue\nrun:\n  output: runs/er\n"
	for _, folder := range []string{"runs/er", "archive"} {
		made(folder+"/experiment.yaml", run)
		made(folder+"/metrics.jsonl", "")
	}
	made("own/experiment.yaml", run) // no run's: nothing of one is next to it
	made("child.yaml", "extends: archive/experiment\n")
	const moved = "the folder of archive/experiment.yaml, which says runs/er"
	for name, test := range map[string]struct {
		path         string
		set          []string
		want, origin string
	}{
		"in its place":      {"runs/er/experiment.yaml", nil, "runs/er", "runs/er/experiment.yaml:4"},
		"moved":             {"archive/experiment.yaml", nil, "archive", moved},
		"without extension": {"archive/experiment", nil, "archive", "the folder of archive/experiment, which says runs/er"},
		"another place":     {"archive/experiment.yaml", []string{"run.output=elsewhere"}, "elsewhere", "--set"},
		"no run":            {"own/experiment.yaml", nil, "runs/er", "own/experiment.yaml:4"},
		"a run's child":     {"child.yaml", nil, "runs/er", "archive/experiment.yaml:4"},
	} {
		c, values, err := experiments.Load(test.path, test.set, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, v := range values {
			if v.Key == "run.output" && (c.Run.Output != test.want || v.Value != test.want || v.Origin != test.origin) {
				t.Errorf("%s: %s, %s from %s: want %s from %s", name, c.Run.Output, v.Value, v.Origin, test.want, test.origin)
			}
		}
	}
}
