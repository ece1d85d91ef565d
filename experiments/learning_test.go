package experiments_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/internal/synth"
	"github.com/histdist/histdist/train"
)

// TestValidationLossFalls trains 300 steps on synthetic tissue with three seeds. The loss on tissue of other patients,
// with the same noise each time, falls in all three, and on average by more than four times what the seeds differ by.
func TestValidationLossFalls(t *testing.T) {
	if os.Getenv("HISTDIST_FULL") == "" {
		t.Skip("takes minutes: HISTDIST_FULL=1")
	}
	tissue := t.TempDir()
	c := synth.Default()
	c.Pairs, c.ValPairs, c.Size, c.PatientPairs = 48, 8, 64, 4
	if err := synth.Write(t.Context(), tissue, c, nil); err != nil {
		t.Fatal(err)
	}
	const seeds = 3
	var falls []float64
	for seed := range seeds {
		// The first step has the learning rate 0: the loss after it is that of the start.
		first, last := validationLoss(t, tissue, seed, 1), validationLoss(t, tissue, seed, 300)
		falls = append(falls, first-last)
		t.Logf("seed %d: validation loss %.4f → %.4f", seed, first, last)
	}
	mean, low, high := 0.0, falls[0], falls[0]
	for _, f := range falls {
		mean += f / seeds
		low, high = min(low, f), max(high, f)
	}
	if !(low > 0 && mean > 4*(high-low)) {
		t.Errorf("the loss falls by %v: want more than four times their range", falls)
	}
}

// validationLoss is the one after the last of so many steps.
func validationLoss(t *testing.T, tissue string, seed, steps int) (loss float64) {
	e := open(t, filepath.Join(t.TempDir(), "run"), "data.dir="+tissue, "data.crop=64", "data.batch=4", "train.lr=1e-3",
		"train.lr-warmup=10",
		"train.ema=false", "train.checkpoint-every=0", "validation.pairs=8", "validation.translations=0",
		fmt.Sprintf("train.seed=%d", seed), fmt.Sprintf("train.steps=%d", steps),
		fmt.Sprintf("train.validate-every=%d", steps))
	_, err := e.Run(t.Context(), experiments.Launch{
		Observe: progress.On(func(s train.Scores) error { loss = s.Values[0].Value; return nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	return loss
}
