package train_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/train"
)

// FuzzJSONLinesBegin: whatever a crash has left, what stays is the file's beginning up to a step, in whole lines, and what is appended
// is read again.
func FuzzJSONLinesBegin(f *testing.F) {
	f.Add([]byte("{\"step\":1}\n{\"step\":2}\n{\"st"), 1)
	f.Add([]byte("\n\xff{\"step\":-1}\n"), 0)
	f.Fuzz(func(t *testing.T, text []byte, step int) {
		path := filepath.Join(t.TempDir(), "metrics.jsonl")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		j, err := train.OpenJSONLines(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(j.Begin(step), j.Scalars(step, []train.Scalar{{Name: "x", Value: 1}}), j.Close()); err != nil {
			t.Fatal(err)
		}
		lines := bytes.SplitAfter(mustRead(t, path), []byte("\n"))
		kept, last := bytes.Join(lines[:len(lines)-2], nil), lines[len(lines)-2]
		if !bytes.HasPrefix(text, kept) {
			t.Errorf("%q is not the beginning of %q", kept, text)
		}
		for _, line := range lines[:len(lines)-1] {
			var at struct{ Step int }
			if err := json.Unmarshal(line, &at); err != nil || at.Step > step {
				t.Errorf("line %q: %v", line, err)
			}
		}
		if !bytes.HasSuffix(last, []byte(`"x":1}`+"\n")) {
			t.Errorf("last line %q", last)
		}
	})
}
