package train_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/progress"
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
		if err := errors.Join(j.Observe(train.Start{Step: step}), j.Observe(train.Scores{Step: step, Values: []train.Scalar{{Name: "x", Value: 1}}}), j.Close()); err != nil {
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

// Where tasks alternate, a line has both: the one of the step, and of both the running mean.
func TestLinesNameBothTasks(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.Accumulate = 3, 1
	var lines []string
	var means []map[string]float64
	o := train.RunOptions{Folder: t.TempDir(), Observe: progress.On(func(m train.Metrics) error {
		means = append(means, m.Means)
		for name, x := range m.Losses {
			lines = append(lines, fmt.Sprintf("%s %.4f", name, x))
		}
		m.GradientNorm, m.ImagesPerSecond, m.TFLOPS, m.Memory, m.Left = 1, 2, 3, 1<<30, time.Minute
		lines = append(lines, m.String())
		return nil
	})}
	if _, err := runTiny(t.Context(), c, network(t), o); err != nil {
		t.Fatal(err)
	}
	first, second, third := lines[0][len("generation "):], lines[2][len("translation "):], lines[4][len("generation "):]
	mean := fmt.Sprintf("%.4f", means[2]["generation"])
	rest := func(lr string) string {
		return "  norm 1.000  lr " + lr + "  2.00 images/s  3.000 TFLOP/s  1.0 GiB  1m0s left"
	}
	want := []string{
		"generation " + first, "step 1/3  generation " + first + " (mean " + first + ")" + rest("0"),
		"translation " + second, "step 2/3  generation - (mean " + first + ")  translation " + second + " (mean " + second + ")" + rest("0.00025"),
		"generation " + third, "step 3/3  generation " + third + " (mean " + mean + ")  translation - (mean " + second + ")" + rest("0.0005"),
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}
