package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/histdist/histdist/configs"
)

// What is wrong with a file is said in a user's words, each with its line, and alone: no error follows from another.
// -rewrite writes today's messages to testdata.
func TestErrors(t *testing.T) {
	datadriven.RunTest(t, "testdata/errors.txt", func(t *testing.T, d *datadriven.TestData) string {
		var set []string
		for _, a := range d.CmdArgs {
			set = slices.Concat(set, a.Vals)
		}
		_, got := experiment(t, d.Input+"\n", set...)
		return got + "\n"
	})
}

// Files of other kinds are recognised.
func TestNoConfiguration(t *testing.T) {
	if _, got := experiment(t, "\x7fELF\x00\x01"); !strings.Contains(got, "UTF-8") {
		t.Error(got)
	}
	path := filepath.Join(t.TempDir(), "pairs.csv")
	if err := os.WriteFile(path, []byte("a: b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := loadExperiment(path, valid, nil); err == nil || !strings.Contains(err.Error(), "data.layout=csv") {
		t.Error(err)
	}
	_, _, err := loadExperiment(filepath.Dir(path), valid, nil)
	if none := (*configs.NoFileError)(nil); !errors.As(err, &none) || !none.Folder {
		t.Errorf("a folder: %v", err)
	}
}
