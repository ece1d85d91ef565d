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
	for path, text := range map[string]string{filepath.Join(run, "experiment.yaml"): "extends: demo\n", child: "extends: parent\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wanted := "; want the path of a YAML file, or a built-in experiment: " + strings.Join(experiments.Names(), ", ")
	for path, want := range map[string]string{
		"nothing":                         "nothing: no such file" + wanted,
		"nothing.yaml":                    "nothing.yaml: no such file" + wanted,
		filepath.Join(dir, "er.yaml"):     filepath.Join(dir, "er.yaml") + ": no such file" + wanted, // not the built-in er
		dir:                               dir + " is a folder" + wanted,
		run:                               run + " is a folder" + wanted + "\nthe run in this folder is " + filepath.Join(run, "experiment.yaml"),
		child:                             child + ": extends: " + filepath.Join(dir, "parent") + ": no such file" + wanted,
		filepath.Join(child, "something"): "open " + filepath.Join(child, "something") + ": not a directory",
	} {
		if _, _, err := experiments.Load(path, nil); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for _, path := range []string{"er", "er.yaml", "experiments/er.yaml", "./experiments/er.yaml"} {
		t.Chdir(dir) // a folder without experiments
		if _, _, err := experiments.Load(path, nil); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
