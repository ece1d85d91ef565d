package train_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
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
	if _, err := runTiny(t.Context(), c, filepath.Join(base, "unet"),
		train.RunOptions{Folder: dir, Examples: examples}); err != nil {
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
		equalWeights(t, filepath.Join(dst, "vae"), filepath.Join(base, "vae"))
		equalWeights(t, filepath.Join(dst, "text_encoder"), filepath.Join(base, "text_encoder"))
		for name, text := range files(t, base) {
			if strings.HasPrefix(name, "unet"+string(filepath.Separator)) || strings.HasPrefix(name, "scheduler") ||
				name == "model_index.json" ||
				filepath.Ext(name) == ".safetensors" {
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
	oneTypeAndNaming(t, checkpoint, base)
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

// oneTypeAndNaming exports onto a base whose weights are in files of a variant alone: diffusers finds all networks of
// an export in one type under their plain names, and nothing of the base's card or safety checker is left.
func oneTypeAndNaming(t *testing.T, checkpoint, base string) {
	half := filepath.Join(t.TempDir(), "half")
	if err := model.Convert(t.Context(), base, half, model.ConvertOptions{DType: weights.Float16}); err != nil {
		t.Fatal(err)
	}
	for part, name := range map[string]string{
		"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model",
		"text_encoder": "model",
	} {
		path := filepath.Join(half, part, name)
		if err := os.Rename(path+".safetensors", path+".fp16.safetensors"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(half, "README.md"), []byte("no real image was used"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dtype := range []weights.DType{weights.Float32, weights.Float16} {
		dst := filepath.Join(t.TempDir(), "model")
		o := train.ExportOptions{
			DType: dtype, Phikon: golden.Path(t, "tiny-phikon"), Variant: "fp16",
			Purpose: model.Purpose{Marker: "ER", MPP: 0.5},
		}
		if err := train.Export(t.Context(), checkpoint, half, dst, o); err != nil {
			t.Fatal(err)
		}
		r, err := model.Inspect(dst, model.Options{})
		if err != nil || !r.Healthy() || len(r.Notes) > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		for _, n := range r.Networks {
			want := map[weights.DType]string{weights.Float32: "F32", weights.Float16: "F16"}[dtype]
			name := filepath.Base(n.File)
			if len(n.DTypes) != 1 || n.DTypes[want] == 0 || name != "model.safetensors" &&
				name != "diffusion_pytorch_model.safetensors" {
				t.Errorf("%s: %v in %s, want all %s under the plain name", n.Name, n.DTypes, name, want)
			}
		}
		var index struct {
			Scheduler []string `json:"scheduler"`
			Safety    []any    `json:"safety_checker"`
		}
		if err := json.Unmarshal(mustRead(t, filepath.Join(dst, "model_index.json")), &index); err != nil {
			t.Fatal(err)
		}
		if len(index.Scheduler) != 2 || index.Scheduler[1] != "DDIMScheduler" || len(index.Safety) != 2 ||
			index.Safety[0] != nil {
			t.Errorf("model_index.json: %+v", index)
		}
		if p, err := model.ReadPurpose(dst); err != nil || !reflect.DeepEqual(p, o.Purpose) {
			t.Errorf("purpose %+v, %v", p, err)
		}
		if _, err := os.Stat(filepath.Join(dst, "README.md")); err == nil {
			t.Error("the base's card is the export's")
		}
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

// TestDescribe: what an earlier version's checkpoint doesn't say is what that version did, and a format of a later one
// is refused.
func TestDescribe(t *testing.T) {
	dir := t.TempDir()
	write := func(state string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(state), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"format": 1, "step": 3, "config": {"steps": 7}}`)
	want := train.Default()
	want.MaxSteps = 7
	if d, err := train.Describe(dir); err != nil || d.Step != 3 || !reflect.DeepEqual(d.Config, want) {
		t.Errorf("%+v, %v: want %+v", d, err, want)
	}
	write(`{"format": 2}`)
	if _, err := train.Describe(dir); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Errorf("another format: %v", err)
	}
}
