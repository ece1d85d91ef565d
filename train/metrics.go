package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// Metrics are the numbers of an optimisation step.
type Metrics struct {
	Step            int // counted from 1
	Steps           int // of the run
	Epoch           int // counted from 0, of the step's last micro-step
	Loss            float64
	Losses          map[string]float64 // by task; of an autoencoder reconstruction and divergence
	Means           map[string]float64 // of Losses, over the last meanOf steps that have them
	GradientNorm    float64            // before clipping
	LearningRate    float64
	EMADecay        float64
	Skipped         int // steps so far that weren't finite
	Seconds         float64
	ImagesPerSecond float64
	TFLOPS          float64 // 10¹² floating-point operations of the network a second
	Memory          int64   // bytes that are allocated on the device
	Left            time.Duration
	// DeviceSeconds is for how long each of several devices was busy with its micro-steps or waited for their images.
	DeviceSeconds []float64
}

// scalars names the numbers.
func (m Metrics) scalars() []Scalar {
	list := []Scalar{{"train/loss", m.Loss}}
	for _, name := range slices.Sorted(maps.Keys(m.Losses)) {
		list = append(list, Scalar{"train/loss_" + name, m.Losses[name]})
	}
	if i, s, _ := m.slowest(); i >= 0 {
		list = append(list, Scalar{"speed/slowest_device", float64(i)}, Scalar{"speed/slowest_device_seconds", s})
	}
	return append(list, []Scalar{
		{"train/gradient_norm", m.GradientNorm},
		{"train/learning_rate", m.LearningRate},
		{"train/ema_decay", m.EMADecay},
		{"train/epoch", float64(m.Epoch)},
		{"train/skipped", float64(m.Skipped)},
		{"speed/seconds", m.Seconds},
		{"speed/images_per_second", m.ImagesPerSecond},
		{"speed/tflops", m.TFLOPS},
		{"speed/memory_bytes", float64(m.Memory)},
		{"speed/seconds_left", m.Left.Seconds()},
	}...)
}

// slowest is the number of the device that took longest for its micro-steps, its time, and the median of all; −1 for a
// device that is alone.
func (m Metrics) slowest() (device int, seconds, median float64) {
	if len(m.DeviceSeconds) < 2 {
		return -1, 0, 0
	}
	sorted := slices.Sorted(slices.Values(m.DeviceSeconds))
	seconds = sorted[len(sorted)-1]
	return slices.Index(m.DeviceSeconds, seconds), seconds, sorted[(len(sorted)-1)/2]
}

// String is a line for a terminal. A loss that the step doesn't have, as tasks alternate, is shown by its mean only.
func (m Metrics) String() string {
	var losses strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.Means)) {
		now := "-"
		if x, ok := m.Losses[name]; ok {
			now = fmt.Sprintf("%.4f", x)
		}
		fmt.Fprintf(&losses, "  %s %s (mean %.4f)", name, now, m.Means[name])
	}
	slowest := ""
	if i, seconds, median := m.slowest(); i >= 0 {
		slowest = fmt.Sprintf("  slowest GPU %d of %d: %.3f s, median %.3f s", i, len(m.DeviceSeconds), seconds, median)
	}
	return fmt.Sprintf("step %d/%d%s  norm %.3f  lr %.3g  %.2f images/s  %.3f TFLOP/s  %.1f GiB%s  %s left",
		m.Step, m.Steps, &losses, m.GradientNorm, m.LearningRate, m.ImagesPerSecond, m.TFLOPS, float64(m.Memory)/(1<<30),
		slowest, m.Left.Round(time.Second))
}

// Brief is String without what hardly changes, for a line that is redrawn.
func (m Metrics) Brief() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.Means)) {
		fmt.Fprintf(&b, "%s %.4f  ", name, m.Means[name])
	}
	fmt.Fprintf(&b, "lr %.3g  %.2f images/s  %s left", m.LearningRate, m.ImagesPerSecond, m.Left.Round(time.Second))
	return b.String()
}

// meanOf is the largest number of values in a running mean.
const meanOf = 100

// running are the last values of losses by name.
type running map[string][]float64

// add adds the losses of a step and returns the means of all losses so far.
func (r running) add(losses map[string]float64) map[string]float64 {
	for name, x := range losses {
		r[name] = append(r[name], x)
		if len(r[name]) > meanOf {
			r[name] = slices.Delete(r[name], 0, 1)
		}
	}
	means := map[string]float64{}
	for name, values := range r {
		for _, x := range values {
			means[name] += x / float64(len(values))
		}
	}
	return means
}

// JSONLines appends the numbers of a run to a file, an object a line: {"step":12,"train/loss":0.25,…}. Numbers that are
// not finite are null.
type JSONLines struct{ file *os.File }

// OpenJSONLines opens or makes the file.
func OpenJSONLines(path string) (*JSONLines, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return &JSONLines{f}, nil
}

// Observe writes Metrics and Scores. Start discards what a killed run wrote after its checkpoint.
func (j *JSONLines) Observe(event any) error {
	switch e := event.(type) {
	case Start:
		return j.begin(e.Step)
	case Metrics:
		return j.write(e.Step, e.scalars())
	case Scores:
		return j.write(e.Step, e.Values)
	}
	return nil
}

// begin cuts the file after the lines of the steps up to step, or before all lines of a new run, and before a line that
// a crash left unfinished.
func (j *JSONLines) begin(step int) error {
	text, err := os.ReadFile(j.file.Name())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("metrics: %w", err)
	}
	keep := 0
	for line := range bytes.Lines(text) {
		var at struct{ Step int }
		if step == 0 || !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &at) != nil || at.Step > step {
			break
		}
		keep += len(line)
	}
	if err := j.file.Truncate(int64(keep)); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if _, err := j.file.Seek(int64(keep), io.SeekStart); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// write writes a line.
func (j *JSONLines) write(step int, values []Scalar) error {
	line := fmt.Appendf(nil, `{"step":%d`, step)
	for _, v := range values {
		name, err := json.Marshal(v.Name)
		if err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
		number := []byte("null")
		if !math.IsNaN(v.Value) && !math.IsInf(v.Value, 0) {
			if number, err = json.Marshal(v.Value); err != nil {
				return fmt.Errorf("metrics: %w", err)
			}
		}
		line = slices.Concat(line, []byte(","), name, []byte(":"), number)
	}
	if _, err := j.file.Write(append(line, "}\n"...)); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// Close closes the file.
func (j *JSONLines) Close() error { return j.file.Close() }
