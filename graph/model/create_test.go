package model_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// configurations is a folder with nothing but the configurations of the reference's tiny networks.
func configurations(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for part, from := range map[string]string{
		"unet": "tiny/unet", "vae": "tiny/vae", "text_encoder": "tiny/text_encoder", "phikon": "tiny-phikon",
	} {
		text, err := os.ReadFile(golden.Path(t, from+"/config.json"))
		if err == nil {
			err = os.Mkdir(filepath.Join(dir, part), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, part, "config.json"), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func create(t *testing.T, like string, seed int64) string {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "new")
	if err := model.Create(t.Context(), like, dst, model.CreateOptions{Seed: seed}); err != nil {
		t.Fatal(err)
	}
	return dst
}

func TestCreate(t *testing.T) {
	like := configurations(t)
	dst := create(t, like, 7)
	m, err := model.Open(dst, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, part := range []string{"unet", "vae", "text_encoder", "phikon"} {
		first := tensors(t, filepath.Join(dst, part))
		if diff := cmp.Diff(first, tensors(t, filepath.Join(create(t, like, 7), part))); diff != "" {
			t.Errorf("%s: the same seed gives other weights:\n%s", part, diff)
		}
		if cmp.Equal(first, tensors(t, filepath.Join(create(t, like, 8), part))) {
			t.Errorf("%s: another seed gives the same weights", part)
		}
	}
	// A whole model, its weights and tokenizer included, says what the networks look like just as well.
	again := create(t, dst, 7)
	if diff := cmp.Diff(tensors(t, filepath.Join(dst, "unet")), tensors(t, filepath.Join(again, "unet"))); diff != "" {
		t.Errorf("like a model: %s", diff)
	}
}

func TestCreateNamesWhatIsMissing(t *testing.T) {
	like := configurations(t)
	for _, part := range []string{"vae", "phikon"} {
		if err := os.Remove(filepath.Join(like, part, "config.json")); err != nil {
			t.Fatal(err)
		}
	}
	parent := t.TempDir()
	err := model.Create(t.Context(), like, filepath.Join(parent, "new"), model.CreateOptions{})
	for _, part := range []string{"vae", "phikon"} {
		if err == nil || !strings.Contains(err.Error(), filepath.Join(like, part, "config.json")) {
			t.Errorf("error %v: want %s", err, part)
		}
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestInitialDistributions compares the spread of weights with the law that PyTorch, diffusers and transformers draw
// them from.
func TestInitialDistributions(t *testing.T) {
	like := configurations(t)
	dst := create(t, like, 1)
	text, err := clip.ReadConfig(filepath.Join(like, "text_encoder", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	width := float64(text.HiddenSize)
	clipIn := 1 / math.Sqrt(2*width*float64(text.NumHiddenLayers))
	// normal and uniform laws by part and a piece of the name; fan is for the inputs of an output.
	const fan = -1
	laws := []struct {
		part, name string
		std        float64
	}{
		{"unet", "conv_in.weight", fan},
		{"unet", "mid_block.resnets.0.conv1.weight", fan},
		{"unet", "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight", fan},
		{"vae", "decoder.mid_block.resnets.0.conv1.weight", fan},
		{"phikon", "embeddings.patch_embeddings.projection.weight", 0.02},
		{"phikon", "embeddings.position_embeddings", 0.02},
		{"phikon", "encoder.layer.0.intermediate.dense.weight", 0.02},
		{"text_encoder", "text_model.embeddings.token_embedding.weight", 0.02},
		{"text_encoder", "text_model.encoder.layers.0.self_attn.q_proj.weight", clipIn},
		{"text_encoder", "text_model.encoder.layers.0.self_attn.out_proj.weight", 1 / math.Sqrt(width)},
		{"text_encoder", "text_model.encoder.layers.0.mlp.fc1.weight", 1 / math.Sqrt(2*width)},
		{"text_encoder", "text_model.encoder.layers.0.mlp.fc2.weight", clipIn},
	}
	for _, law := range laws {
		x, shape := read(t, filepath.Join(dst, law.part), law.name)
		std := law.std
		if std == fan {
			bound := 1 / math.Sqrt(float64(len(x)/shape[0]))
			for _, v := range x {
				if math.Abs(float64(v)) > bound {
					t.Errorf("%s %s: %g is beyond %g", law.part, law.name, v, bound)
					break
				}
			}
			std = bound / math.Sqrt(3)
		}
		sum, squares := 0.0, 0.0
		for _, v := range x {
			sum += float64(v)
			squares += float64(v) * float64(v)
		}
		n := float64(len(x))
		// Five standard errors of a mean, and of a normal distribution's standard deviation.
		if mean := sum / n; math.Abs(mean) > 5*std/math.Sqrt(n) {
			t.Errorf("%s %s: mean %g with deviation %g", law.part, law.name, mean, std)
		}
		if got := math.Sqrt(squares / n); math.Abs(got-std) > 5*std/math.Sqrt(2*n) {
			t.Errorf("%s %s: deviation %g, want %g", law.part, law.name, got, std)
		}
	}
	for part, names := range map[string][2]string{
		"unet":         {"conv_norm_out.weight", "conv_norm_out.bias"},
		"vae":          {"encoder.conv_norm_out.weight", "encoder.conv_norm_out.bias"},
		"phikon":       {"layernorm.weight", "encoder.layer.0.output.dense.bias"},
		"text_encoder": {"text_model.final_layer_norm.weight", "text_model.encoder.layers.0.mlp.fc1.bias"},
	} {
		for i, want := range []float32{1, 0} {
			x, _ := read(t, filepath.Join(dst, part), names[i])
			for _, v := range x {
				if v != want {
					t.Errorf("%s %s: %g, want %g", part, names[i], v, want)
					break
				}
			}
		}
	}
}

func read(t *testing.T, folder, name string) ([]float32, []int) {
	t.Helper()
	s, err := weights.Open(folder, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	x, shape, err := s.Float32(name)
	if err != nil {
		t.Fatal(err)
	}
	return x, shape
}

// TestByteTokenizer: the ids are what transformers' CLIPTokenizer 4.48.3 gives for the files that are written.
func TestByteTokenizer(t *testing.T) {
	dir := t.TempDir()
	if err := clip.WriteByteTokenizer(dir, 77); err != nil {
		t.Fatal(err)
	}
	k, err := clip.OpenTokenizer(dir)
	if err != nil {
		t.Fatal(err)
	}
	if k.VocabSize() != clip.ByteVocabulary || k.Length() != 77 {
		t.Errorf("%d ids and %d tokens", k.VocabSize(), k.Length())
	}
	for text, want := range byteIDs {
		if diff := cmp.Diff(want, k.Tokens(text)); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// TestRescaleLatents: the new autoencoder's moments are the old one's, moved and stretched, and it makes the same image
// of them.
func TestRescaleLatents(t *testing.T) {
	src := golden.Path(t, "tiny/vae")
	c, err := vae.ReadConfig(filepath.Join(src, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	n := c.LatentChannels
	var l model.LatentStatistics
	for i := range n {
		l.Mean = append(l.Mean, float64(i)-1.5)
		l.Deviation = append(l.Deviation, 0.5+float64(i))
	}
	dst := filepath.Join(t.TempDir(), "vae")
	if err := model.RescaleLatents(t.Context(), src, dst, l, model.ConvertOptions{}); err != nil {
		t.Fatal(err)
	}
	scaled, err := vae.ReadConfig(filepath.Join(dst, "config.json"))
	if err != nil || scaled.ScalingFactor != model.ScalingFactor {
		t.Errorf("scaling_factor %g, %v", scaled.ScalingFactor, err)
	}
	d := networktest.Open(t, "ref")
	side := 4 * c.Factor()
	g := rng.NewTorch(1)
	image, latents := normal(g, 1, side, side, c.InChannels), normal(g, 1, 4, 4, n)
	moments := func(folder string) []float32 { return encodeWith(t, d, folder, c, image) }
	a, b := moments(src), moments(dst)
	for i, x := range a {
		ch := i % (2 * n)
		want := float64(x)
		if gain := 1 / (model.ScalingFactor * l.Deviation[ch%n]); ch < n {
			want = (want - l.Mean[ch]) * gain
		} else {
			want += 2 * math.Log(gain)
		}
		a[i] = float32(want)
	}
	// Both sides are float32: each may be as far from the exact values as the reference's tolerance says.
	near := func(quantity string, got, want []float32) {
		t.Helper()
		tolerance := golden.ToleranceOf(t, "vae", quantity, want)
		tolerance.Atol *= 2
		golden.Within(t, got, want, tolerance)
	}
	near("moments", b, a)
	other := append([]float32(nil), latents.Float32s()...)
	for i, x := range other {
		other[i] = float32((float64(x) - l.Mean[i%n]) / (model.ScalingFactor * l.Deviation[i%n]))
	}
	near("decoded", decodeWith(t, d, dst, c, tensor.New(tensor.WithShape(1, 4, 4, n), tensor.WithBacking(other))),
		decodeWith(t, d, src, c, latents))

	l.Deviation[0] = 0
	if err := model.RescaleLatents(t.Context(), src, filepath.Join(t.TempDir(), "vae"), l,
		model.ConvertOptions{}); err == nil {
		t.Error("a channel without spread was rescaled")
	}
}

func normal(g *rng.Torch, shape ...int) *tensor.Dense {
	x := tensor.New(tensor.WithShape(shape...), tensor.Of(tensor.Float32))
	g.Randn(x.Float32s())
	return x
}

func encodeWith(t *testing.T, d device.Device, folder string, c vae.Config, image *tensor.Dense) []float32 {
	t.Helper()
	s := image.Shape()
	e, err := vae.NewEncoder(c, vae.Size{Batch: s[0], Height: s[1], Width: s[2]})
	if err != nil {
		t.Fatal(err)
	}
	store, err := weights.Open(folder, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Bind(e.Scope.Params(), weights.Mapping{Ignore: vae.IsDecoder}); err != nil {
		t.Fatal(err)
	}
	return networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{e.Moments}, vm.Feeds{e.Image: image})[0].Data
}

func decodeWith(t *testing.T, d device.Device, folder string, c vae.Config, latents *tensor.Dense) []float32 {
	t.Helper()
	s := latents.Shape()
	n, err := vae.NewDecoder(c, vae.Size{Batch: s[0], Height: s[1], Width: s[2]})
	if err != nil {
		t.Fatal(err)
	}
	store, err := weights.Open(folder, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Bind(n.Scope.Params(),
		weights.Mapping{Ignore: func(name string) bool { return !vae.IsDecoder(name) }}); err != nil {
		t.Fatal(err)
	}
	return networktest.Compute(t, vm.Options{Device: d}, gorgonia.Nodes{n.Image}, vm.Feeds{n.Latents: latents})[0].Data
}

// byteIDs are transformers' ids of texts.
var byteIDs = map[string][]int32{
	"H&E":         {512, 327, 261, 324, 513},
	"er stain 3+": {512, 68, 337, 82, 83, 64, 72, 333, 274, 266, 513},
	"":            {512, 513},
	"éß €  x":     {512, 127, 102, 127, 509, 158, 224, 361, 343, 513},
}
