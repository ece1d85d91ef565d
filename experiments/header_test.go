package experiments_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHeader(t *testing.T) {
	output := t.TempDir()
	e := open(t, output, "run.device=ref", "data.batch=2", "train.accumulate=2", "train.validate-every=5",
		"validation.pairs=8", "train.lr-warmup=6")
	var b strings.Builder
	if err := e.WriteHeader(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for old, stable := range map[string]string{
		e.Config.Data.Root: "DATA", e.Config.Model.Base: "MODEL",
		output: "OUTPUT",
	} {
		text = strings.ReplaceAll(text, old, stable)
	}
	// Three micro-steps an epoch are two updates, the second of one micro-step.
	want := `data        6 pairs for training, 2 for validation, in DATA (mist); crops of 64 pixels, augmented
model       MODEL: U-Net of N parameters, v_prediction, with its moving average
device      ref, float32
training    6 steps of 2 micro-steps of 2 pairs: effective batch 4, 3.0 epochs; learning rate 0.001, cosine ` +
		`after 6 steps of warm-up, longer than the run
validation  every 5 steps and before the first: loss of 2 pairs, 1 translation of 2 + 2 steps
output      OUTPUT
`
	before, rest, _ := strings.Cut(text, "U-Net of ")
	_, after, _ := strings.Cut(rest, " parameters")
	if diff := cmp.Diff(want, before+"U-Net of N parameters"+after); diff != "" {
		t.Error(diff)
	}
}
