package experiments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/synth"
	"github.com/histdist/histdist/experiments/metrics/stain"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/atomicfile"
)

// DemoModel is the model in the binary, which the experiments demo-vae and demo have trained on synthetic tissue.
const DemoModel = "demo"

// Seeds of synthetic tissue: that of training and those that nothing was ever trained on.
const demoTissueSeed = 20260

// demoSteps are as many as the demonstration model needs; more change little.
const demoSteps = 50

// DemoResult is what a demonstration made.
type DemoResult struct {
	Files         []string // in the folder: H&E, translation, truth, panel, truth of the nuclei; then the model's folder
	Model         string
	True, Virtual float64 // fraction of pixels that are brown
}

// Demo makes a piece of synthetic tissue that the built-in model has not seen, translates it and puts the true stain beside it. The
// folder must not exist, or be an earlier demonstration's.
func Demo(ctx context.Context, folder string, d device.Device, report infer.Reporter) (_ DemoResult, err error) {
	r := DemoResult{Model: filepath.Join(folder, "model")}
	builtIn, ok := builtInModel(DemoModel)
	if !ok {
		return r, errors.New("this build has no demonstration model")
	}
	if err := once(r.Model, func() error { return extract(r.Model, builtIn) }); err != nil {
		return r, err
	}
	c := synth.Default()
	c.Seed, c.Size = demoTissueSeed, 256
	pair, err := synth.Generate(ctx, c, 0)
	if err != nil {
		return r, err
	}
	he, ihc, truth := filepath.Join(folder, "he.png"), filepath.Join(folder, "true-ihc.png"), filepath.Join(folder, "nuclei.json")
	virtual := filepath.Join(folder, "virtual-ihc.png")
	text, err := json.MarshalIndent(pair.Truth, "", "  ")
	if err != nil {
		return r, err
	}
	if err := errors.Join(imagefile.Write(he, pair.HE, imagefile.WriteOptions{}), imagefile.Write(ihc, pair.IHC, imagefile.WriteOptions{}),
		atomicfile.Write(truth, append(text, '\n'))); err != nil {
		return r, err
	}
	m, err := model.Open(r.Model, model.Options{})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	p := infer.New(m, infer.Options{Device: d})
	defer func() { err = errors.Join(err, p.Close()) }()
	s := infer.DefaultSettings()
	s.StepsInversion, s.StepsTranslation = demoSteps, demoSteps
	summary, err := p.Run(ctx, []infer.Job{{Input: he, Output: virtual, Reference: ihc}}, infer.RunOptions{
		Settings: s, Batch: 1, Panel: true, Overwrite: true, Report: report,
		Provenance: []imagefile.Pair{{Key: imagefile.KeyDescription, Value: "virtual stain of synthetic tissue, a demonstration"}},
	})
	if err != nil {
		return r, err
	}
	if len(summary.Failed) > 0 {
		return r, fmt.Errorf("%s: %s", summary.Failed[0].Input, summary.Failed[0].Error)
	}
	r.Files = []string{he, virtual, ihc, infer.PanelName(virtual), truth}
	made, err := imagefile.Read(virtual, imagefile.Options{})
	if err != nil {
		return r, err
	}
	if r.True, err = brown(pair.IHC); err != nil {
		return r, err
	}
	r.Virtual, err = brown(made)
	return r, err
}

// brown is the fraction of positive pixels.
func brown(m *imagefile.Image) (float64, error) {
	s, err := stain.New(stain.QuPathHDAB())
	if err != nil {
		return 0, err
	}
	i, err := stain.Measure(m, s, stain.DAB, stain.PositiveDAB)
	return i.PositiveFraction, err
}
