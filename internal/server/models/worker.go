package models

import (
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/infer"
)

// Device is a device that is opened by the worker that uses it: on the worker's thread, whose priority the device's
// threads inherit.
type Device struct {
	Name string
	Open func() (device.Device, error)
}

// Worker has the pipeline that a worker used last. It is used by one goroutine at a time.
type Worker struct {
	models   *Models
	options  infer.Options
	id, unet string
	pipeline *infer.Pipeline
}

// Worker makes a worker with a device and a precision, which stay the caller's.
func (m *Models) Worker(o infer.Options) *Worker { return &Worker{models: m, options: o} }

// Pipeline returns the pipeline of a model with a preset's U-Net. It stays open until another is asked for.
func (w *Worker) Pipeline(id, preset string) (*infer.Pipeline, error) {
	m, err := w.models.Find(id)
	if err != nil {
		return nil, err
	}
	p, err := m.Preset(preset)
	if err != nil {
		return nil, err
	}
	if w.pipeline != nil && w.id == m.ID && w.unet == p.Preset.UNet {
		return w.pipeline, nil
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	pipeline, err := infer.Open(m.folder, model.Options{UNet: p.Preset.UNet}, w.options)
	if err != nil {
		return nil, err
	}
	w.pipeline, w.id, w.unet = pipeline, m.ID, p.Preset.UNet
	fingerprint, err := pipeline.Fingerprint()
	if err != nil {
		return nil, err
	}
	w.models.used(m.ID, fingerprint)
	return pipeline, nil
}

// Close frees the pipeline.
func (w *Worker) Close() error {
	if w.pipeline == nil {
		return nil
	}
	p := w.pipeline
	w.pipeline = nil
	return p.Close()
}
