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

// CreateModel writes the folder of a model of Stable Diffusion 1.5's size, with 8 input channels and Phikon's vision
// transformer, whose weights are as before any training: 4 GB. dst must not exist.
func CreateModel(ctx context.Context, dst string) (err error) {
	like, err := os.MkdirTemp(filepath.Dir(dst), ".like-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(like)) }()
	for folder, network := range map[string]struct {
		config any
		class  map[string]any // in config.json
	}{
		"unet":         {unet.SD15(), map[string]any{"_class_name": "UNet2DConditionModel"}},
		"vae":          {vae.SD15(), map[string]any{"_class_name": "AutoencoderKL"}},
		"text_encoder": {clip.SD15(), map[string]any{"architectures": []string{"CLIPTextModel"}}},
		"phikon":       {vit.Phikon(), map[string]any{"architectures": []string{"ViTModel"}}},
	} {
		text, err := json.Marshal(network.config)
		if err == nil {
			err = json.Unmarshal(text, &network.class)
		}
		if err == nil {
			text, err = json.MarshalIndent(network.class, "", "  ")
		}
		dir := filepath.Join(like, folder)
		err = errors.Join(err, os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644))
		if err != nil {
			return err
		}
	}
	if err := model.Create(ctx, like, dst, model.CreateOptions{DType: weights.Float32}); err != nil {
		return fmt.Errorf("a model of random weights: %w", err)
	}
	return nil
}
