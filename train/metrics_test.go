package train_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/train"
)

// FuzzJSONLinesBegin: whatever a crash has left, what stays is the file's beginning up to a step, in whole lines, and
// what is appended is read again.
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
		if err := errors.Join(j.Observe(train.Start{Step: step}),
			j.Observe(train.Scores{Step: step, Values: []train.Scalar{{Name: "x", Value: 1}}}), j.Close()); err != nil {
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
		"translation " + second, "step 2/3  generation - (mean " + first + ")  translation " + second + " (mean " + second +
			")" + rest("0.00025"),
		"generation " + third, "step 3/3  generation " + third + " (mean " + mean + ")  translation - (mean " + second + ")" +
			rest("0.0005"),
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

// TestRunReports looks at the numbers, the file of them, and the events.
func TestRunReports(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.ValidateEvery = 8, 4
	dir := t.TempDir()
	path := filepath.Join(dir, "metrics.jsonl")
	lines, err := train.OpenJSONLines(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lines.Close()
	fixed, err := noisy{length: 1}.Example(t.Context(), train.Position{}, train.Translation, rng.NewTorch(5))
	if err != nil {
		t.Fatal(err)
	}
	var steps, epochs []int
	o := train.RunOptions{Folder: dir, ValidateFirst: true, Validate: train.FixedNoise([]train.Example{fixed}, 1)}
	o.Observe = progress.All(lines.Observe, progress.On(func(m train.Metrics) error {
		steps, epochs = append(steps, m.Step), append(epochs, m.Epoch)
		if !(m.Loss > 0 && m.GradientNorm > 0 && m.ImagesPerSecond > 0 && m.TFLOPS > 0 && m.Memory > 0) ||
			len(m.Losses) == 0 {
			t.Errorf("%+v", m)
		}
		return nil
	}))
	if _, err := runTiny(t.Context(), c, network(t), o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4, 5, 6, 7, 8}, steps); diff != "" {
		t.Error(diff)
	}
	// Seven micro-steps an epoch are four optimisation steps, the last of one micro-step.
	if diff := cmp.Diff([]int{0, 0, 0, 0, 1, 1, 1, 1}, epochs); diff != "" {
		t.Error(diff)
	}
	read := func() (list []map[string]float64) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var l map[string]float64
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatal(err)
			}
			list = append(list, l)
		}
		return list
	}
	all := read()
	if len(all) != 11 || all[0]["step"] != 0 || all[0]["validation/loss"] <= 0 || all[1]["step"] != 1 ||
		all[5]["validation/loss_ema"] <= 0 {
		t.Errorf("%d lines: %v", len(all), all)
	}
	// A crash in a line, and a run that goes on after step 6.
	if err := os.WriteFile(path, append(mustRead(t, path), `{"step":9,"tr`...), 0o644); err != nil {
		t.Fatal(err)
	}
	scores := train.Scores{Step: 7, Values: []train.Scalar{{Name: "x", Value: math.Inf(1)}}}
	if err := errors.Join(lines.Observe(train.Start{Step: 6}), lines.Observe(scores)); err != nil {
		t.Fatal(err)
	}
	text := mustRead(t, path)
	if !bytes.HasSuffix(text, []byte("\n{\"step\":7,\"x\":null}\n")) || bytes.Count(text, []byte("\n")) != 9 {
		t.Errorf("%s", text)
	}
}

// TestRunWithoutACheckpointLeavesNothing: a run that was killed before its first checkpoint and is started again shows
// every step once.
func TestRunWithoutACheckpointLeavesNothing(t *testing.T) {
	net, dir := network(t), t.TempDir()
	c := tinyRun()
	c.MaxSteps = 4
	path := filepath.Join(dir, "metrics.jsonl")
	killed := errors.New("killed")
	for _, stop := range []int{3, 0} {
		sink, err := train.OpenJSONLines(path)
		if err != nil {
			t.Fatal(err)
		}
		o := train.RunOptions{Folder: dir, Observe: progress.All(sink.Observe, progress.On(func(m train.Metrics) error {
			if m.Step == stop {
				return killed
			}
			return nil
		}))}
		if _, err := runTiny(t.Context(), c, net, o); stop == 0 && err != nil || stop > 0 && !errors.Is(err, killed) {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for step := range 4 {
		if n := bytes.Count(mustRead(t, path), fmt.Appendf(nil, `{"step":%d,`, step+1)); n != 1 {
			t.Errorf("step %d is there %d times", step+1, n)
		}
	}
}
