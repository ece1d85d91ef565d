package train_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/networktest"
	"github.com/histdist/histdist/train"
)

// labelledUNet is the tiny U-Net with four class labels, whose rows are zero.
func labelledUNet(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "labelled")
	if err := model.Extend(t.Context(), network(t), dir, model.Extension{Classes: 4}, model.ConvertOptions{}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// markers are noisy examples of labels 1 and 3; a generation's is that of the H&E.
func markers() noisy {
	return noisy{length: 7, spoil: func(at train.Position, e *train.Example) {
		e.Labels = []int{model.LabelHE}
		if e.Condition != nil {
			e.Labels[0] = 1 + 2*(at.Index/2%2)
		}
	}}
}

// Training moves the rows of the labels that examples have, and no other, to the same values on any number of devices.
func TestLabelsAreTrained(t *testing.T) {
	c := tinyRun()
	c.MaxSteps, c.Accumulate, c.CheckpointEvery = 6, 3, 0
	net := labelledUNet(t)
	var first []float32
	for n := 1; n <= 2; n++ {
		dir := t.TempDir()
		runNetworkOn(t, n, c, net, train.RunOptions{Folder: dir, Examples: markers()})
		s, err := weights.Open(filepath.Join(dir, "checkpoint-6", "unet"), weights.Options{})
		if err != nil {
			t.Fatal(err)
		}
		table, shape, err := s.Float32(unet.ClassTable)
		if err != nil {
			t.Fatal(err)
		}
		width := shape[1]
		for row := range shape[0] {
			sum := 0.0
			for _, v := range table[row*width : (row+1)*width] {
				sum += math.Abs(float64(v))
			}
			if moved := sum > 0; moved != (row != 2) {
				t.Errorf("%d devices: row %d has a sum of %g", n, row, sum)
			}
		}
		if n == 1 {
			first = append(first, table...)
		}
		for i, v := range table {
			if math.Abs(float64(v-first[i])) > 1e-4 { // AdamW carries on the rounding of sums from step to step
				t.Errorf("%d devices: value %d is %g, on one %g", n, i, v, first[i])
				break
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Labels and the U-Net must fit each other.
func TestLabelsThatDoNotFit(t *testing.T) {
	d := networktest.Open(t, "ref")
	for _, c := range []struct {
		net    string
		labels []int
		says   string
	}{
		{network(t), []int{1}, "0 classes"},
		{labelledUNet(t), nil, "4 classes"},
		{labelledUNet(t), []int{1, 2}, "4 classes"},
		{labelledUNet(t), []int{4}, "0 to 3"},
	} {
		config := tinyRun()
		trainer, err := train.New(config, train.Options{Device: d, UNet: c.net, Schedule: sdSchedule(t, config.Prediction)})
		if err != nil {
			t.Fatal(err)
		}
		e, err := noisy{length: 1}.Example(t.Context(), train.Position{}, train.Translation, rng.NewTorch(1))
		if err != nil {
			t.Fatal(err)
		}
		e.Labels = c.labels
		draws, err := train.Draw(rng.NewTorch(1), e.Shape, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trainer.Accumulate(t.Context(), e, draws); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", c.labels, err, c.says)
		}
		if err := trainer.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
