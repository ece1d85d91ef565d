package experiments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/lora"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/train"
)

// Folders that a run makes in its folder.
const (
	baseFolder = "base"      // a new model
	unetFolder = "base-unet" // a widened U-Net
)

// openModel opens the model to start from and returns the folder of its U-Net. It widens a text-to-image U-Net, and
// makes a new model of configurations without weights.
func (e *Experiment) openModel(ctx context.Context) (unet string, err error) {
	c := e.Config.Model
	base, err := e.newModel(ctx, c.Base)
	if err != nil {
		return "", fmt.Errorf("model.base: %w", err)
	}
	if e.model, err = model.Open(base, model.Options{
		UNet: c.UNet, Phikon: c.Phikon, TextUNet: true, Variant: c.Variant, Prediction: e.Config.Train.Prediction,
	}); errors.Is(err, schedule.ErrZeroSNR) {
		return "", fmt.Errorf("train.prediction-type %s over this model.base: %w", e.Config.Train.Prediction, err)
	} else if err != nil {
		return "", fmt.Errorf("model.base: %w", err)
	}
	e.Notes = append(e.Notes, e.model.Notes...)
	e.settlePurpose()
	if e.base, err = e.model.Fingerprint(); err != nil {
		return "", fmt.Errorf("model.base: %w", err)
	}
	unet = filepath.Join(e.model.Dir, cmp.Or(c.UNet, "unet"))
	channels := 2 * e.model.VAE.LatentChannels
	if e.model.UNet.InChannels == channels {
		return unet, nil
	}
	if e.Config.Train.Objective == train.EndToEnd {
		return "", fmt.Errorf("model.base: its U-Net takes text only: want a model that translates, to train it for one step")
	}
	if e.Config.Train.Adapter.Blind() {
		return "", fmt.Errorf("train.adapter-layers %s: the U-Net of model.base takes text only, and its conv_in is "+
			"widened: want %s too, or it never sees the H&E", e.Config.Train.Adapter.Layers, lora.Convolutions)
	}
	wide := filepath.Join(e.Config.Run.Output, unetFolder)
	settings, err := origin.NewSettings(map[string]any{"channels": channels, "variant": c.Variant})
	if err != nil {
		return "", err
	}
	err = once(wide, origin.Origin{Model: e.base, Settings: settings}, func() error {
		return model.Widen(ctx, unet, wide, channels, model.ConvertOptions{Variant: c.Variant})
	})
	if err != nil {
		return "", fmt.Errorf("model.base: %w", err)
	}
	e.Notes = append(e.Notes, fmt.Sprintf("the U-Net takes text only: conv_in is widened from %d to %d channels in %s",
		e.model.UNet.InChannels, channels, wide))
	e.model.UNet.InChannels = channels
	return wide, nil
}

// settlePurpose takes the prompt from the base if the configuration has none.
func (e *Experiment) settlePurpose() {
	c, base := &e.Config.Model, e.model.Purpose
	own := cmp.Or(base.Prompt, model.DefaultPrompt)
	if c.Prompt != "" && c.Prompt != own && base.Prompt != "" {
		e.Notes = append(e.Notes, fmt.Sprintf("model.prompt %q, though the base's %s says %q",
			c.Prompt, model.PurposeFile, own))
	}
	c.Prompt = cmp.Or(c.Prompt, own)
}

// newModel makes an untrained model of a folder of configurations without weights. It takes a built-in model out of the
// binary, and returns any other base as it is.
func (e *Experiment) newModel(ctx context.Context, base string) (string, error) {
	made := filepath.Join(e.Config.Run.Output, baseFolder)
	folder, note := demo.Folder(base)
	if note != "" {
		e.Notes = append(e.Notes, "model.base: "+note)
	}
	builtIn := folder != nil
	if !builtIn {
		folder = os.DirFS(base) // base may be an id, or nothing: model.Open says
	}
	if _, err := fs.Stat(folder, "unet/config.json"); err != nil || hasWeights(folder) {
		if builtIn {
			return made, demo.Extract(made)
		}
		return base, nil
	}
	e.Notes = append(e.Notes, fmt.Sprintf("a new model like %s, untrained, in %s", base, made))
	settings, err := origin.NewSettings(map[string]any{"seed": e.Config.Train.Seed})
	if err != nil {
		return "", err
	}
	of := origin.Origin{Settings: settings}
	if of.Sources, err = origin.HashFS(folder); err != nil {
		return "", err
	}
	return made, once(made, of, func() (err error) {
		like, err := os.MkdirTemp("", "histdist-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(like)) }()
		if err := os.CopyFS(like, folder); err != nil {
			return err
		}
		return model.Create(ctx, like, made, model.CreateOptions{Seed: e.Config.Train.Seed})
	})
}

// hasWeights reports whether a model's folder has weights of a U-Net.
func hasWeights(model fs.FS) bool {
	for _, pattern := range []string{"unet/*.safetensors*", "unet/*.bin*"} {
		if found, err := fs.Glob(model, pattern); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// once makes a folder, unless an interrupted run has made it. A file next to it records what it was made of: a run that
// starts from something else must not use it.
func once(path string, of origin.Origin, create func() error) error {
	record, want := path+".origin", fmt.Sprintf("%x\n", of.Key())
	if _, err := os.Stat(path); err == nil {
		was, err := os.ReadFile(record)
		if errors.Is(err, fs.ErrNotExist) { // an earlier version made it
			return nil
		}
		if err == nil && string(was) != want {
			err = fmt.Errorf("%s was made from another base, seed or variant: remove it, or name another run.output", path)
		}
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := atomicfile.Write(record, []byte(want)); err != nil {
		return err
	}
	return create()
}
