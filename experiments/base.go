package experiments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	var to model.Extension
	if channels := 2 * e.model.VAE.LatentChannels; e.model.UNet.InChannels != channels {
		to.Channels = channels
	}
	if e.settleMarkers(); e.model.Purpose.Classes() > 0 && len(e.Config.Data.Sets) == 0 &&
		e.Config.Train.Objective != train.Autoencoder {
		return "", fmt.Errorf("model.base stains for %s: want data.sets, with the marker of each set",
			strings.Join(e.model.Purpose.Markers, ", "))
	}
	if e.model.Purpose.Classes() != e.model.UNet.NumClassEmbeds {
		to.Classes = e.model.Purpose.Classes()
	}
	if to == (model.Extension{}) {
		return unet, nil
	}
	if err := e.canExtend(to); err != nil {
		return "", err
	}
	wide := filepath.Join(e.Config.Run.Output, unetFolder)
	keys := map[string]any{"channels": 2 * e.model.VAE.LatentChannels, "variant": c.Variant}
	if to.Classes > 0 {
		keys["markers"] = e.model.Purpose.Markers
	}
	settings, err := origin.NewSettings(keys)
	if err != nil {
		return "", err
	}
	err = once(wide, origin.Origin{Model: e.base, Settings: settings}, func() error {
		return model.Extend(ctx, unet, wide, to, model.ConvertOptions{Variant: c.Variant})
	})
	if err != nil {
		return "", fmt.Errorf("model.base: %w", err)
	}
	if to.Channels > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("the U-Net takes text only: conv_in is widened from %d to %d channels in %s",
			e.model.UNet.InChannels, to.Channels, wide))
		e.model.UNet.InChannels = to.Channels
	}
	if to.Classes > 0 {
		e.Notes = append(e.Notes, fmt.Sprintf("the U-Net gets class labels in %s: the H&E, %s", wide,
			strings.Join(e.model.Purpose.Markers, ", ")))
		e.model.UNet.NumClassEmbeds = to.Classes
	}
	return wide, nil
}

// canExtend returns an error if the run couldn't learn to use further inputs of the U-Net.
func (e *Experiment) canExtend(to model.Extension) error {
	c := e.Config.Train
	switch {
	case to.Channels > 0 && c.Objective == train.EndToEnd:
		return fmt.Errorf("model.base: its U-Net takes text only: want a model that translates, to train it for one step")
	case to.Channels > 0 && c.Adapter.Blind():
		return fmt.Errorf("train.adapter-layers %s: the U-Net of model.base takes text only, and its conv_in is "+
			"widened: want %s too, or it never sees the H&E", c.Adapter.Layers, lora.Convolutions)
	case to.Classes > 0 && (c.Adapter.Kind != "" || c.Objective == train.EndToEnd):
		what := "train.adapter " + c.Adapter.Kind
		if c.Adapter.Kind == "" {
			what = fmt.Sprintf("train.objective %s", c.Objective)
		}
		return fmt.Errorf("%s: the U-Net of model.base hasn't learnt all of %s: want a base that was trained with them",
			what, strings.Join(e.model.Purpose.Markers, ", "))
	}
	return nil
}

// settleMarkers adds the markers of the sets to those that the base knows. A base of one marker knows none.
func (e *Experiment) settleMarkers() {
	p := &e.model.Purpose
	for _, m := range e.Config.Data.Sets.Markers() {
		if _, _, err := p.Label(m); err != nil || len(p.Markers) == 0 {
			p.Markers = append(slices.Clone(p.Markers), m)
			p.Marker = ""
		}
	}
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
