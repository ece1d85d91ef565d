package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/experiments"
)

// A list of structs is read from a file, from its text, and from what is written of it.
func TestListsOfStructs(t *testing.T) {
	want := experiments.Sets{
		{Location: data.Location{Root: "a b"}, Marker: "ER", Weight: 1},
		{Location: data.Location{Root: "c", Layout: data.BCI}, Marker: "HER2", Weight: 0.5},
	}
	file := "extends: valid\ndata:\n  dir: \"\"\n  sets:\n    - dir: a b\n      marker: ER\n" +
		"    - {dir: c, layout: bci, marker: HER2, weight: 0.5}\n"
	c, problem := experiment(t, file)
	if diff := cmp.Diff(want, c.Data.Sets); diff != "" || problem != "" {
		t.Fatalf("%s\n%s", problem, diff)
	}
	text := "[{dir: a b, marker: ER}, {dir: c, layout: bci, marker: HER2, weight: 0.5}]"
	c, problem = experiment(t, "extends: valid\ndata:\n  dir: \"\"\n", "data.sets="+text)
	if diff := cmp.Diff(want, c.Data.Sets); diff != "" || problem != "" {
		t.Fatalf("%s\n%s", problem, diff)
	}
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	_, values, err := loadExperiment(path, valid, nil)
	if err != nil {
		t.Fatal(err)
	}
	written, err := configs.YAML(values, configs.NoComments)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(written), "\n  sets: "+text+"\n") {
		t.Errorf("written:\n%s", written)
	}
	c, problem = experiment(t, string(written))
	if diff := cmp.Diff(want, c.Data.Sets); diff != "" || problem != "" {
		t.Fatalf("what is written: %s\n%s", problem, diff)
	}
}

func TestListsThatAreWrong(t *testing.T) {
	for name, c := range map[string]struct{ sets, says string }{
		"no list":           {"ER", "data.sets: ER: want a list"},
		"no structs":        {"[ER]", "element 1, line 5: ER: want keys and values"},
		"an unknown key":    {"[{dir: a, marker: ER, wieght: 2}]", "element 1, line 5: unknown key wieght: did you mean weight?"},
		"a text as number":  {"[{dir: a, marker: ER}, {dir: b, marker: PR, weight: much}]", "element 2, line 5: weight: much: want a number"},
		"a list in a list":  {"[{dir: [a], marker: ER}]", "dir: want a text"},
		"twice":             {"[{dir: a, dir: b, marker: ER}]", "dir is given twice"},
		"a weight of 0":     {"[{dir: a, marker: ER, weight: 0}]", "data.sets[0].weight: 0: want above 0"},
		"a weight below 0":  {"[{dir: a, marker: ER, weight: -1}]", "data.sets[0].weight: -1: want above 0"},
		"one marker twice":  {"[{dir: a, marker: ER}, {dir: b, marker: er}]", "one marker"},
		"no marker":         {"[{dir: a}]", "data.sets[0].marker: missing"},
		"no place":          {"[{marker: ER}]", "data.sets[0].dir: missing"},
		"an unknown layout": {"[{dir: a, marker: ER, layout: mits}]", `data.sets[0].layout: "mits": want mist`},
	} {
		_, problem := experiment(t, "extends: valid\ndata:\n  dir: \"\"\n  sets:\n    "+c.sets+"\n")
		if !strings.Contains(problem, c.says) {
			t.Errorf("%s: %q, want %q", name, problem, c.says)
		}
	}
	_, problem := experiment(t, "extends: valid\nmodel:\n  marker: ER\ndata:\n  sets: [{dir: a, marker: ER}]\n")
	for _, says := range []string{
		"data.dir: tissue: with data.sets each set has its own", "model.marker: ER: with data.sets",
	} {
		if !strings.Contains(problem, says) {
			t.Errorf("%q, want %q", problem, says)
		}
	}
}
