package train_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/train"
)

// TestExport trains the tiny pipeline's U-Net for two steps and opens what it exports.
func TestExport(t *testing.T) {
	base := golden.Path(t, "tiny")
	m := openTiny(t)
	c := tinyRun()
	c.MaxSteps, c.Accumulate = 2, 1
	c.LearningRate.Warmup = 0
	dir := t.TempDir()
	examples := sized{noisy{length: 7}, m.UNet.CrossAttentionDim}
	if _, err := runTiny(t.Context(), c, filepath.Join(base, "unet"), train.RunOptions{Folder: dir, Examples: examples}); err != nil {
		t.Fatal(err)
	}
	checkpoint := filepath.Join(dir, "checkpoint-2")
	for _, ema := range []bool{false, true} {
		dst := filepath.Join(t.TempDir(), "model")
		o := train.ExportOptions{EMA: ema, MaxShardBytes: 100_000}
		if err := train.Export(t.Context(), checkpoint, base, dst, o); err != nil {
			t.Fatal(err)
		}
		exported, err := model.Open(dst, model.Options{Phikon: golden.Path(t, "tiny-phikon")})
		if err != nil {
			t.Fatal(err)
		}
		defer exported.Close()
		if s := exported.Scheduler; s.PredictionType != schedule.VPrediction || !s.RescaleBetasZeroSNR {
			t.Errorf("scheduler %+v", s)
		}
		from := "unet"
		if ema {
			from = "unet_ema"
		}
		equalWeights(t, filepath.Join(dst, "unet"), filepath.Join(checkpoint, from))
		for name, text := range files(t, base) {
			if strings.HasPrefix(name, "unet"+string(filepath.Separator)) || strings.HasPrefix(name, "scheduler") {
				continue
			}
			if got := string(mustRead(t, filepath.Join(dst, name))); got != text {
				t.Errorf("%s changed", name)
			}
		}
		if err := train.Export(t.Context(), checkpoint, base, dst, o); err == nil || !strings.Contains(err.Error(), dst) {
			t.Errorf("onto a folder that exists: %v", err)
		}
	}
	// A damaged checkpoint leaves nothing behind.
	path := filepath.Join(checkpoint, "unet", "diffusion_pytorch_model.safetensors")
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	err := train.Export(t.Context(), checkpoint, base, filepath.Join(parent, "model"), train.ExportOptions{})
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("damaged: %v", err)
	}
	if left := files(t, parent); len(left) != 0 {
		t.Errorf("left behind: %d files", len(left))
	}
}

// equalWeights compares two networks' folders tensor by tensor.
func equalWeights(t *testing.T, got, want string) {
	t.Helper()
	a, err := weights.Open(got, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := weights.Open(want, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if len(a.Tensors()) != len(b.Tensors()) {
		t.Errorf("%d tensors, want %d", len(a.Tensors()), len(b.Tensors()))
	}
	for _, info := range b.Tensors() {
		x, _, err := a.Float32(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		y, _, err := b.Float32(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		golden.Within(t, x, y, golden.Tolerance{})
	}
}
