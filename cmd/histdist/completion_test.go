package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A shell offers the values of whatever has a closed set of them.
func TestCompletion(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"train ", "er ki67 pr her2 bci demo"},
		{"train er --set ", "data.dir= train.lr= data.icc= run.device="},
		{"train er --set data.icc=", "data.icc=apply data.icc=ignore"},
		{"train er --set data.layout=", "data.layout=mist data.layout=csv"},
		{"train er --set train.ema=", "train.ema=true train.ema=false"},
		{"train er --set train.lr-schedule=", "train.lr-schedule=cosine"},
		{"train er --resume ", "latest auto"},
		{"config print --experiment ", "er demo"},
		{"translate --device ", "auto ref"},
		{"translate --precision ", "float32 bfloat16"},
		{"translate --icc ", "apply ignore"},
		{"translate --eta ", "zero cosine_min_20"},
		{"translate --normalize ", "inversion steps none"},
		{"evaluate --vectors ", "qupath macenko"},
		{"bench --only ", "unet vae-decode translation"},
		{"export runs/er --dtype ", "float16 bfloat16"},
		{"model convert --dtype ", "float16 bfloat16"},
		{"data check --layout ", "mist bci combined folders csv"},
		{"data synth --marker ", "er her2"},
	} {
		var stdout, stderr strings.Builder
		args := strings.Split(test.line, " ")
		if code := run(t.Context(), append([]string{"__complete"}, args...), &stdout, &stderr); code != exitOK {
			t.Errorf("%s: exit code %d, %s", test.line, code, &stderr)
		}
		offered := map[string]bool{}
		for _, line := range strings.Split(stdout.String(), "\n") {
			value, _, _ := strings.Cut(line, "\t")
			offered[value] = true
		}
		for _, want := range strings.Fields(test.want) {
			if !offered[want] {
				t.Errorf("%s: %q is not offered in %s", test.line, want, &stdout)
			}
		}
	}
}

// Examples in manual pages stand line by line.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"man", dir}, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d, %s", code, &stderr)
	}
	page, err := os.ReadFile(filepath.Join(dir, "histdist-translate.1"))
	if err != nil {
		t.Fatal(err)
	}
	begin := strings.Index(string(page), "\n.EX\n")
	end := strings.Index(string(page), "\n.EE\n")
	if begin < 0 || end < begin || strings.Count(string(page)[begin:end], "\nhistdist translate") < 2 {
		t.Errorf("no preformatted examples in\n%s", page[:min(len(page), 2000)])
	}
}

// What wasn't measured isn't 0.
func TestBenchPrintsWhatIsNotKnown(t *testing.T) {
	if got := known("%.1f", 0) + known("%.1f", 12.34); got != "–12.3" {
		t.Error(got)
	}
}
