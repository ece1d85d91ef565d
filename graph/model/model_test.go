package model_test

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/finite"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// copyOf copies a folder so that a test may damage it.
func copyOf(t *testing.T, folder string) string {
	dst := filepath.Join(t.TempDir(), filepath.Base(folder))
	if err := os.CopyFS(dst, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dst, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o755)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

func TestOpen(t *testing.T) {
	m, err := model.Open(golden.Path(t, "tiny"), model.Options{Phikon: golden.Path(t, "tiny-phikon")})
	if err != nil {
		t.Fatal(err)
	}
	n, err := unet.Build(m.UNet, unet.Size{Batch: 1, Height: 8, Width: 8, Tokens: m.ViT.Tokens()})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.BindUNet(n.Scope.Params()); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenReportsEverything(t *testing.T) {
	dir := copyOf(t, golden.Path(t, "tiny"))
	for _, name := range []string{"vae/config.json", "unet/diffusion_pytorch_model.safetensors", "tokenizer/vocab.json"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HF_HOME", t.TempDir())
	_, err := model.Open(dir, model.Options{})
	if err == nil {
		t.Fatal("a damaged folder is no error")
	}
	for _, want := range []string{"vae/config.json", "unet: no weights", "vocab.json", "owkin/phikon"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s:\n%v", want, err)
		}
	}
}

func TestNetworksThatDoNotGoTogether(t *testing.T) {
	dir := copyOf(t, golden.Path(t, "tiny"))
	config := filepath.Join(dir, "unet", "config.json")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	narrow := strings.Replace(string(text), `"in_channels": 8`, `"in_channels": 4`, 1)
	if narrow == string(text) {
		t.Skip("the folder's U-Net has other input channels than 8")
	}
	if err := os.WriteFile(config, []byte(narrow), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = model.Open(dir, model.Options{Phikon: golden.Path(t, "tiny-phikon")})
	if err == nil || !strings.Contains(err.Error(), "model widen") {
		t.Errorf("error %v: want one that says how to widen the U-Net", err)
	}
}

func TestInspect(t *testing.T) {
	r, err := model.Inspect(golden.Path(t, "tiny"), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Healthy() || len(r.Networks) != 3 {
		t.Errorf("the folder is healthy, but the report is %+v", r)
	}
	for _, n := range r.Networks {
		if n.Parameters == 0 || n.Bytes < 4*n.Parameters || n.Tensors == 0 {
			t.Errorf("%s: %d tensors, %d parameters, %d bytes", n.Name, n.Tensors, n.Parameters, n.Bytes)
		}
	}
}

func TestInspectSick(t *testing.T) {
	tiny := golden.Path(t, "tiny")
	tests := map[string]struct {
		damage func(dir string) error
		want   string
	}{
		"truncated": {func(dir string) error {
			return os.Truncate(filepath.Join(dir, "unet", "diffusion_pytorch_model.safetensors"), 5000)
		}, "diffusion_pytorch_model.safetensors"},
		"weights of another network": {func(dir string) error {
			text, err := os.ReadFile(filepath.Join(dir, "vae", "diffusion_pytorch_model.safetensors"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "unet", "diffusion_pytorch_model.safetensors"), text, 0o644)
		}, "conv_in.weight"},
		"no configuration": {
			func(dir string) error { return os.Remove(filepath.Join(dir, "unet", "config.json")) },
			"unet/config.json",
		},
		"no scheduler": {
			func(dir string) error { return os.RemoveAll(filepath.Join(dir, "scheduler")) },
			"scheduler_config.json",
		},
		"no model_index": {
			func(dir string) error { return os.Remove(filepath.Join(dir, "model_index.json")) },
			"model_index.json",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, tiny)
			if err := test.damage(dir); err != nil {
				t.Fatal(err)
			}
			r, err := model.Inspect(dir, model.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			said = append(said, r.Problems...)
			for _, n := range r.Networks {
				said = append(append(append(append(said, n.Error), n.Missing...), n.Surplus...), n.Misshaped...)
			}
			for _, o := range r.Others {
				said = append(said, o.Error)
			}
			if r.Healthy() || !strings.Contains(strings.Join(said, "\n"), test.want) {
				t.Errorf("healthy %v; want one that names %s:\n%s", r.Healthy(), test.want, strings.Join(said, "\n"))
			}
		})
	}
	if r, err := model.Inspect(t.TempDir(), model.Options{}); err != nil || r.Healthy() {
		t.Errorf("an empty folder: healthy %v, error %v", r.Healthy(), err)
	}
	if _, err := model.Inspect(filepath.Join(t.TempDir(), "absent"), model.Options{}); err == nil {
		t.Error("a folder that isn't there is no error")
	}
}

// Inspect reads all weights, and neither it nor a conversion lets one through that is no number.
func TestEveryWeightIsLookedAt(t *testing.T) {
	for name, value := range map[string]float32{"NaN: not finite": float32(math.NaN()), "1e+30: too large": 1e30} {
		dir := copyOf(t, golden.Path(t, "tiny"))
		networktest.Plant(t, filepath.Join(dir, "vae", "diffusion_pytorch_model.safetensors"), "decoder.conv_out.bias", 1,
			value)
		r, err := model.Inspect(dir, model.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var damaged []string
		for _, n := range r.Networks {
			damaged = append(damaged, n.Damaged...)
		}
		if diff := cmp.Diff([]string{"decoder.conv_out.bias: value 1 is " + name}, damaged); diff != "" || r.Healthy() {
			t.Errorf("healthy %v: %s", r.Healthy(), diff)
		}
		dst := filepath.Join(t.TempDir(), "out")
		if err := model.Convert(t.Context(), dir, dst, model.ConvertOptions{}); !errors.Is(err, finite.Err) {
			t.Errorf("converted: error %v", err)
		}
		if err := model.Widen(t.Context(), dir, dst, 12, model.ConvertOptions{}); !errors.Is(err, finite.Err) {
			t.Errorf("widened: error %v", err)
		}
		if _, err := os.Stat(dst); err == nil {
			t.Error("a folder was made")
		}
	}
}

// tensors reads all weights of a network's folder.
func tensors(t *testing.T, folder string) map[string][]float32 {
	s, err := weights.Open(folder, weights.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all := map[string][]float32{}
	for _, info := range s.Tensors() {
		values, _, err := s.Float32(info.Name)
		if err != nil {
			t.Fatal(err)
		}
		all[info.Name] = values
	}
	return all
}

func TestConvert(t *testing.T) {
	tiny := golden.Path(t, "tiny")
	dst := filepath.Join(t.TempDir(), "out", "tiny")
	if err := model.Convert(t.Context(), tiny, dst, model.ConvertOptions{MaxShardBytes: 100_000}); err != nil {
		t.Fatal(err)
	}
	if r, err := model.Inspect(dst, model.Options{}); err != nil || !r.Healthy() {
		t.Errorf("the new folder: %+v, error %v", r, err)
	}
	if diff := cmp.Diff(tensors(t, filepath.Join(tiny, "unet")), tensors(t, filepath.Join(dst, "unet"))); diff != "" {
		t.Errorf("weights of the U-Net differ: %s", diff)
	}
	if shards, _ := filepath.Glob(filepath.Join(dst, "unet", "*-of-*")); len(shards) < 2 {
		t.Errorf("%d shards, want several", len(shards))
	}
	if err := model.Convert(t.Context(), tiny, dst, model.ConvertOptions{}); err == nil {
		t.Error("a folder that exists was written over")
	}
}

func TestConvertGivesTodaysNames(t *testing.T) {
	dst := filepath.Join(t.TempDir(), "vae")
	if err := model.Convert(t.Context(), golden.Path(t, "tiny-legacy-vae"), dst, model.ConvertOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tensors(t, golden.Path(t, "tiny/vae")), tensors(t, dst)); diff != "" {
		t.Errorf("weights differ from those of the same network as diffusers saves it today: %s", diff)
	}
}

// A conversion that ends early leaves nothing behind.
func TestConvertCancelled(t *testing.T) {
	parent := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := model.Convert(ctx, golden.Path(t, "tiny"), filepath.Join(parent, "tiny"),
		model.ConvertOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("%v is left, error %v", left, err)
	}
}

func TestWiden(t *testing.T) {
	tiny := golden.Path(t, "tiny")
	before, err := unet.ReadConfig(filepath.Join(tiny, "unet", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "tiny")
	channels := before.InChannels + 4
	if err := model.Widen(t.Context(), tiny, dst, channels, model.ConvertOptions{}); err != nil {
		t.Fatal(err)
	}
	after, err := unet.ReadConfig(filepath.Join(dst, "unet", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	before.InChannels = channels
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the configuration differs: %s", diff)
	}
	if r, err := model.Inspect(filepath.Join(dst, "unet"), model.Options{}); err != nil || !r.Healthy() {
		t.Errorf("the new folder: %+v, error %v", r, err)
	}
	if err := model.Widen(t.Context(), filepath.Join(tiny, "vae"), filepath.Join(t.TempDir(), "vae"), 8,
		model.ConvertOptions{}); err == nil {
		t.Error("a VAE was widened")
	}
}
