package experiments

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/train"
)

// ExportOptions say what is exported.
type ExportOptions struct {
	train.ExportOptions
	// Checkpoint is the folder of a checkpoint, or of a run for its latest.
	Checkpoint string
	// Base is the folder of the model to take the other networks from; "" is the run's.
	Base string
	// Device measures an autoencoder's latents.
	Device device.Device
}

// latentPairs is the number of micro-steps that an autoencoder's latents are measured over.
const latentPairs = 64

// Export writes the model of a checkpoint, with the run's vision transformer, as a folder that `histdist translate` and
// diffusers load. An autoencoder gets the scale of its latents, a U-Net for one step the preset fast. dst must not
// exist.
func Export(ctx context.Context, dst string, o ExportOptions) error {
	checkpoint, err := train.Latest(o.Checkpoint)
	if err != nil {
		return err
	}
	c, _, err := Load(filepath.Join(filepath.Dir(checkpoint), configFile), nil, nil)
	if err != nil {
		return err
	}
	c.Run.Output = filepath.Dir(checkpoint) // the run may have moved
	e := &Experiment{Config: c}
	e.Config.Model.UNet = "" // the base's own
	if o.Base != "" {
		e.Config.Model.Base = o.Base
	}
	if o.UNet, err = e.openModel(ctx); err != nil {
		return err
	}
	defer e.model.Close()
	adapts := c.Train.Adapter.Kind != ""
	if o.Merge && !adapts {
		return fmt.Errorf("%s: the run trained all weights: there is no adapter to merge", checkpoint)
	}
	if c.Model.UNet != "" {
		o.UNet = filepath.Join(e.model.Dir, c.Model.UNet)
	}
	if c.Train.Objective == train.Autoencoder && !c.Train.DecoderOnly { // whose latents are the base's
		if err := e.openPairs(ctx); err != nil {
			return err
		}
		defer e.source.close()
		s, err := train.MeasureLatents(ctx, checkpoint, o.EMA, o.Device, e.source, latentPairs)
		if err != nil {
			return err
		}
		o.Latents = &s
	}
	o.Phikon, o.Variant = e.model.PhikonDir, e.Config.Model.Variant
	o.Purpose = model.Purpose{
		Marker: cmp.Or(e.Config.Model.Marker, e.model.Purpose.Marker), MPP: cmp.Or(e.Config.Model.MPP, e.model.Purpose.MPP),
		Prompt: e.Config.Model.Prompt, Markers: e.model.Purpose.Markers,
	}
	if len(o.Purpose.Markers) > 0 {
		o.Purpose.Marker = ""
	}
	switch {
	case c.Train.Objective == train.EndToEnd:
		o.Purpose.Presets = e.model.Purpose.Presets
		o.Purpose.Presets.Fast = &model.Preset{Sampling: train.FastSampling(), UNet: train.FastUNet}
	case c.Train.DecoderOnly: // all U-Nets are the base's
		o.Purpose.Presets = e.model.Purpose.Presets
	}
	if o.Card, err = e.card(checkpoint, o); err != nil {
		return err
	}
	if adapts && !o.Merge {
		o.Purpose = model.Purpose{} // of a model
		return train.ExportAdapter(checkpoint, dst, o.ExportOptions)
	}
	return train.Export(ctx, checkpoint, e.model.Dir, dst, o.ExportOptions)
}
