package model

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/graph/clip"
	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vit"
	"github.com/histdist/histdist/graph/weights"
	"github.com/histdist/histdist/internal/atomicfile"
)

// CreateOptions are options of a new model.
type CreateOptions struct {
	Seed  int64 // of the weights
	DType weights.DType
}

// networkFolders are a model's parts with weights.
var networkFolders = [...]string{"unet", "vae", "text_encoder", "phikon"}

// Create writes the folder of an untrained model: weights are drawn from a seed, as diffusers and transformers do for
// each class of network. The folder like has the config.json of unet, vae, text_encoder and phikon, with or without
// weights; its other files are copied. The defaults are a tokenizer of bytes, Stable Diffusion's noise and ImageNet's
// preprocessing. dst must not exist; it appears when it is complete.
func Create(ctx context.Context, like, dst string, o CreateOptions) error {
	var missing []error
	for _, name := range networkFolders {
		if path := filepath.Join(like, name, "config.json"); !exists(path) {
			missing = append(missing, fmt.Errorf("%s: missing: want the configuration of the network %s", path, name))
		}
	}
	if err := errors.Join(missing...); err != nil {
		return err
	}
	return atomicfile.Folder(dst, func(dir string) error {
		g := rng.NewTorch(o.Seed)
		for _, name := range networkFolders {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := createNetwork(filepath.Join(dir, name), filepath.Join(like, name), g, o.DType); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		text, err := clip.ReadConfig(filepath.Join(dir, "text_encoder", "config.json"))
		if err != nil {
			return err
		}
		image, err := vit.ReadConfig(filepath.Join(dir, "phikon", "config.json"))
		if err != nil {
			return err
		}
		return errors.Join(
			createTokenizer(filepath.Join(dir, "tokenizer"), filepath.Join(like, "tokenizer"), text),
			createScheduler(filepath.Join(dir, "scheduler"), filepath.Join(like, "scheduler")),
			writeUnlessThere(filepath.Join(dir, "phikon", "preprocessor_config.json"), imagePreprocessing(image)),
			createIndex(dir, like),
		)
	})
}

// createNetwork draws the weights of a network and copies the other files of its folder.
func createNetwork(dst, src string, g *rng.Torch, t weights.DType) error {
	k, err := kindOf(src)
	if err != nil {
		return err
	}
	if err := copyFiles(dst, src, func(name string) bool { return !isWeights(name) }); err != nil {
		return err
	}
	tensors, err := k.initialise(filepath.Join(src, "config.json"), g)
	if err != nil {
		return err
	}
	return weights.Save(dst, tensors, weights.SaveOptions{DType: t, BaseName: k.baseName})
}

// createTokenizer copies a tokenizer or makes one of bytes, and checks that the text encoder has all its ids.
func createTokenizer(dst, src string, c clip.Config) error {
	if exists(src) {
		if err := copyFiles(dst, src, func(string) bool { return true }); err != nil {
			return err
		}
	} else if err := clip.WriteByteTokenizer(dst, c.MaxPositionEmbeddings); err != nil {
		return err
	}
	t, err := clip.OpenTokenizer(dst)
	if err != nil {
		return err
	}
	if t.VocabSize() > c.VocabSize {
		return fmt.Errorf("text_encoder: vocab_size is %d: the tokenizer has %d ids", c.VocabSize, t.VocabSize())
	}
	return nil
}

// createScheduler copies a noise schedule or writes Stable Diffusion's.
func createScheduler(dst, src string) error {
	if exists(src) {
		return copyFiles(dst, src, func(string) bool { return true })
	}
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	c := schedule.DefaultConfig()
	c.ClassName, c.DiffusersVersion = "DDIMScheduler", diffusersVersion
	c.BetaSchedule, c.BetaStart, c.BetaEnd = schedule.ScaledLinear, 0.00085, 0.012
	c.ClipSample, c.SetAlphaToOne, c.StepsOffset = false, false, 1
	return schedule.WriteConfig(filepath.Join(dst, "scheduler_config.json"), c)
}

// imagePreprocessing is transformers' preprocessor_config.json of a ViT on ImageNet's statistics, as Phikon has it.
func imagePreprocessing(c vit.Config) map[string]any {
	return map[string]any{
		"do_convert_rgb": nil, "do_normalize": true, "do_rescale": true, "do_resize": true,
		"image_mean": []float64{0.485, 0.456, 0.406}, "image_std": []float64{0.229, 0.224, 0.225},
		"image_processor_type": "ViTImageProcessor", "resample": 2, "rescale_factor": 1. / 255,
		"size": map[string]int{"height": c.ImageSize, "width": c.ImageSize},
	}
}

// diffusersVersion is the version of diffusers whose files are written.
const diffusersVersion = "0.32.1"

// createIndex copies model_index.json or writes one for the pipeline of U-Nets that take an image in addition to the
// latents.
func createIndex(dir, like string) error {
	const name = "model_index.json"
	if src := filepath.Join(like, name); exists(src) {
		return atomicfile.Copy(filepath.Join(dir, name), src)
	}
	c, err := schedule.ReadConfig(filepath.Join(dir, "scheduler", "scheduler_config.json"))
	if err != nil {
		return err
	}
	none := []any{nil, nil}
	return writeUnlessThere(filepath.Join(dir, name), map[string]any{
		"_class_name": "StableDiffusionInstructPix2PixPipeline", "_diffusers_version": diffusersVersion,
		"feature_extractor": none, "image_encoder": none, "requires_safety_checker": false, "safety_checker": none,
		"scheduler":    []string{"diffusers", c.ClassName},
		"text_encoder": []string{"transformers", "CLIPTextModel"},
		"tokenizer":    []string{"transformers", "CLIPTokenizer"},
		"unet":         []string{"diffusers", unetClass},
		"vae":          []string{"diffusers", vaeClass},
	})
}

// MakeTranslating changes a folder's model_index.json so that diffusers loads it as the pipeline of U-Nets that take an
// image in addition to the latents, with a scheduler of that class and without a safety checker.
func MakeTranslating(dir, scheduler string) error {
	none := []any{nil, nil}
	return editJSON(filepath.Join(dir, "model_index.json"), map[string]any{
		"_class_name": "StableDiffusionInstructPix2PixPipeline", "scheduler": []string{"diffusers", scheduler},
		"feature_extractor": none, "image_encoder": none, "safety_checker": none, "requires_safety_checker": false,
	})
}

// writeUnlessThere writes a JSON file if there is none.
func writeUnlessThere(path string, content any) error {
	if exists(path) {
		return nil
	}
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
