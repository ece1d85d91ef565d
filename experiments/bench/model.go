package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/unet"
	"github.com/histdist/histdist/graph/vae"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/weights"
)

// CreateModel writes a model's folder of Stable Diffusion 1.5's size, with 8 input channels and Phikon's vision transformer, whose weights
// are those of before any training: 4 GB. dst must not exist.
func CreateModel(ctx context.Context, dst string) (err error) {
	like, err := os.MkdirTemp(filepath.Dir(dst), ".like-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(like)) }()
	for folder, network := range map[string]struct {
		key    string // of the class in config.json
		class  any
		config any
	}{
		"unet":         {"_class_name", "UNet2DConditionModel", unet.SD15()},
		"vae":          {"_class_name", "AutoencoderKL", vae.SD15()},
		"text_encoder": {"architectures", []string{"CLIPTextModel"}, clip.SD15()},
		"phikon":       {"architectures", []string{"ViTModel"}, vit.Phikon()},
	} {
		text, err := json.Marshal(network.config)
		if err != nil {
			return err
		}
		fields := map[string]any{}
		if err := json.Unmarshal(text, &fields); err != nil {
			return err
		}
		fields[network.key] = network.class
		if text, err = json.MarshalIndent(fields, "", "  "); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(like, folder), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(like, folder, "config.json"), text, 0o644); err != nil {
			return err
		}
	}
	if err := model.Create(ctx, like, dst, model.CreateOptions{DType: weights.Float32}); err != nil {
		return fmt.Errorf("a model of random weights: %w", err)
	}
	return nil
}
