package configs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/configs"
)

// What a YAML parser says about a slip is said in a user's words, with the line, and alone: no error follows from another.
func TestSlipsInYAML(t *testing.T) {
	const (
		indented = "a line that is indented differently from those around it"
		bracket  = "a bracket that isn't closed; a value with brackets in it must be in quotes"
	)
	for name, test := range map[string]struct{ file, want string }{
		"a tab":               {"train:\n\tsteps: 5\n", "x.yaml:2: a tab: want spaces in front of a key"},
		"a tab further in":    {"train:\n  steps: 5\n \tlr: 1\n", "x.yaml:3: a tab: want spaces in front of a key"},
		"a tab as a value":    {"run:\n  output: \t@x\n", "x.yaml:2: a value that begins with @, `, % or a tab: put it in quotes"},
		"an unquoted date":    {"run:\n  output: 2026-07-31\n", `x.yaml:2: run.output: 2026-07-31: want a text: write "2026-07-31", in quotes`},
		"a list of pairs":     {"he,ihc,split\na.png,b.png,train\n", "x.yaml: a list of image pairs, it seems: want a YAML file, or a built-in experiment with --set data.layout=csv --set data.dir=x.yaml"},
		"a section too far":   {"train:\n  steps: 5\n lr: 3\n", "x.yaml:3: " + indented + ", or text after a quoted value"},
		"a key too far":       {"train:\n  steps: 5\n   lr: 3\n", "x.yaml:3: a second colon, or " + indented + ": a value with a colon in it must be in quotes"},
		"two colons":          {"train: steps: 5\n", "x.yaml:1: a second colon, or " + indented + ": a value with a colon in it must be in quotes"},
		"a home folder":       {"run:\n  output: @home\n", "x.yaml:2: a value that begins with @, `, % or a tab: put it in quotes"},
		"a star":              {"run:\n  output: *home\n", "x.yaml:2: a value that begins with *: put it in quotes"},
		"a backslash":         {"run:\n  output: \"C:\\Users\"\n", "x.yaml:2: a backslash in double quotes: use single quotes"},
		"an open quote":       {"run:\n  output: \"abc\n", "x.yaml:2: a quote that isn't closed"},
		"an open bracket":     {"run:\n  output: [abc\n", "x.yaml:2: " + bracket},
		"a bracket at once":   {"train: [\n", "x.yaml:2: " + bracket},
		"two documents":       {"train:\n  steps: 5\n---\ntrain:\n  steps: 6\n", "x.yaml:3: a second document begins after ---: want one"},
		"words":               {"just words\n", "x.yaml: want keys and values, such as\n  train:\n    steps: 1000"},
		"a list":              {"- a\n- b\n", "x.yaml: want keys and values, such as\n  train:\n    steps: 1000"},
		"another file":        {"\x7fELF\x00\x01", "x.yaml: want a YAML file, which is text in UTF-8"},
		"twice":               {"train:\n  steps: 5\n  steps: 6\n", "x.yaml:3: train.steps is given twice, first in line 2"},
		"a section twice":     {"train:\n  steps: 5\ntrain:\n  lr: 6\n", "x.yaml:3: train is given twice, first in line 1"},
		"a merge":             {"train: &a\n  steps: 5\nvalidation:\n  <<: *a\n", "x.yaml:4: << is not supported: a file takes over the values of another with extends: FILE"},
		"a list for a key":    {"[a, b]: c\n", "x.yaml:1: want the name of a key before the colon"},
		"a number for a key":  {"1: 2\n", "x.yaml:1: unknown key 1"},
		"extends two":         {"extends: [a, b]\n", "x.yaml:1: extends: want the name of one file"},
		"indentation missing": {"run:\noutput: a\n", "x.yaml:2: unknown key output: did you mean run.output?"},
		"unknown and wrong": {
			"data:\n  dri: x\ntrain:\n  steps: many\n",
			"x.yaml:2: unknown key data.dri: did you mean data.dir?\nx.yaml:4: train.steps: many: want a whole number",
		},
	} {
		t.Run(name, func(t *testing.T) {
			// Without data.dir and run.output, to see that no error about them follows.
			if _, got := experiment(t, test.file); got != test.want && got != test.want+"\n"+missing {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// missing is what an experiment of one's own without data and output lacks.
const missing = "data.dir is missing: want the folder of the image pairs, or the list of the layout csv; such as --set data.dir=MIST/ER"

func TestListOfPairsForAnExperiment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pairs.csv")
	if err := os.WriteFile(path, []byte("a: b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err := configs.LoadExperiment(path, valid, nil)
	if want := path + ": a list of image pairs, it seems: want a YAML file, or a built-in experiment with --set data.layout=csv --set data.dir=" + path; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
