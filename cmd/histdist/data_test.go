package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A data set without a pair fails in every command that reads one, and says what is there.
func TestDataSetsWithoutPairsFail(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "pairs.csv")
	if err := os.WriteFile(list, []byte("he,ihc\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "empty")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	const names = "pairs.csv: a line of column names and no pair below it"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"data", "check", list}, names},
		{[]string{"data", "split", list, "--output", filepath.Join(dir, "out.csv")}, names},
		{[]string{"train", "demo", "--set", "data.dir=" + list, "--set", "run.output=" + filepath.Join(dir, "run")}, names},
		{[]string{"train", "demo", "--dry-run", "--set", "data.dir=" + list, "--set", "run.output=" + filepath.Join(dir, "run")}, names},
		{[]string{"evaluate", "--real", folder, "--virtual", folder, "--output", filepath.Join(dir, "evaluation")}, "empty has no "},
		{[]string{"data", "check", "--layout", "combined", folder}, "empty: nothing"},
		{[]string{"data", "check", folder}, "it has nothing"},
		{[]string{"data", "check", "--layout", "folders", "--he", "/nowhere", "--ihc", folder}, "--he: /nowhere: no such file or directory"},
		{[]string{"data", "check", filepath.Join(dir, "nowhere")}, "FOLDER or LIST.csv: there is no folder " + filepath.Join(dir, "nowhere")},
	} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), test.args, &stdout, &stderr); code != exitFailed {
			t.Errorf("%q: exit code %d, want %d", test.args, code, exitFailed)
		}
		if !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%q does not say %q:\n%s", test.args, test.want, stderr.String())
		}
	}
}
