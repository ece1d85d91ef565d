package infer_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/golden"
	"github.com/histdist/histdist/internal/networktest"
)

// damagedModel is a copy of the golden model, with its vision transformer, in which one weight has another value.
func damagedModel(t *testing.T, file, tensor string, value float32) string {
	dir := filepath.Join(t.TempDir(), "model")
	for from, to := range map[string]string{"tiny": dir, "tiny-phikon": filepath.Join(dir, "phikon")} {
		if err := os.CopyFS(to, os.DirFS(golden.Path(t, from))); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, file)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	networktest.Plant(t, path, tensor, 0, value)
	return dir
}

// One weight that is no number, or that makes one of its squares, and no image is written: the error names the network,
// the file and the weight.
func TestDamagedWeightsMakeNoImage(t *testing.T) {
	nan := float32(math.NaN())
	const (
		unet, vae   = "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"
		text, image = "text_encoder/model.safetensors", "phikon/model.safetensors"
		wrong       = "the training that made the weights failed, or the model was trained for other settings"
	)
	damaged := func(file, tensor, value string) string {
		return "DIR/" + file + ": the weights are damaged: " + tensor + ": value 0 is " + value
	}
	tests := map[string]struct {
		file, tensor string
		value        float32
		want         string
	}{
		"decoder NaN": {
			vae, "decoder.conv_out.bias", nan,
			"VAE decoder: " + damaged(vae, "decoder.conv_out.bias", "NaN: not finite"),
		},
		"decoder Inf": {
			vae, "decoder.conv_out.bias", float32(math.Inf(-1)),
			"VAE decoder: " + damaged(vae, "decoder.conv_out.bias", "-Inf: not finite"),
		},
		"decoder 1e30": {
			vae, "decoder.conv_out.bias", 1e30,
			"VAE decoder: " + damaged(vae, "decoder.conv_out.bias", "1e+30: too large"),
		},
		"decoder's start": {
			vae, "post_quant_conv.bias", 1e30,
			"VAE decoder: " + damaged(vae, "post_quant_conv.bias", "1e+30: too large"),
		},
		"decoder overflow": {vae, "decoder.conv_out.bias", 1e10, "VAE decoder: image: value 0 is 1e+10: too large; " + wrong},
		"encoder NaN": {
			vae, "encoder.conv_in.weight", nan,
			"VAE encoder: " + damaged(vae, "encoder.conv_in.weight", "NaN: not finite"),
		},
		"U-Net NaN": {unet, "conv_in.bias", nan, "U-Net: " + damaged(unet, "conv_in.bias", "NaN: not finite")},
		"text NaN": {
			text, "text_model.final_layer_norm.bias", nan,
			"text encoder: " + damaged(text, "text_model.final_layer_norm.bias", "NaN: not finite"),
		},
		"ViT 1e30": {
			image, "layernorm.bias", 1e30,
			"vision transformer: " + damaged(image, "layernorm.bias", "1e+30: too large"),
		},
	}
	d, err := catalog.Open("auto", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := damagedModel(t, test.file, test.tensor, test.value)
			m, err := model.Open(dir, model.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			p := infer.New(m, infer.Options{Device: d})
			defer p.Close()
			for range 2 { // the second image fails as the first
				_, err = p.Translate(t.Context(), infer.Request{Images: []*imagefile.Image{pattern(16, 16, 3)}, Settings: quick()})
				if !errors.Is(err, infer.ErrNotFinite) {
					t.Fatalf("error %v, want ErrNotFinite", err)
				}
				if diff := cmp.Diff("translate: "+test.want, strings.ReplaceAll(err.Error(), dir, "DIR")); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}
