package evaluate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/infer"
)

// Translation says how H&E pictures become the virtual ones of an evaluation.
type Translation struct {
	Model, Phikon string // as histdist translate takes them
	Variant       string // of the weights
	HE, Output    string // folders
	Settings      infer.Settings
	Device        device.Device // stays the caller's
	Precision     vm.Precision
	LowMemory     bool
	Batch         int
	Software      string
	Report        infer.Reporter
	Note          func(notes []string) // is told what of the model's folder is overridden or left open; may be nil
}

// Run translates what is not there yet. Pictures that fail are problems; an error is that there is nothing to evaluate, or ctx's.
func (t Translation) Run(ctx context.Context) (_ []Problem, err error) {
	if t.HE == "" {
		return nil, errors.New("--model translates the H&E pictures: --he is missing")
	}
	jobs, err := infer.Plan(t.HE, t.Output, ".png", "")
	if err != nil {
		return nil, err
	}
	m, err := model.Open(t.Model, model.Options{Phikon: t.Phikon, Variant: t.Variant, Prediction: t.Settings.Prediction})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	fingerprint, err := m.Fingerprint()
	if err != nil {
		return nil, err
	}
	p := infer.New(m, infer.Options{Device: t.Device, Precision: t.Precision, LowMemory: t.LowMemory})
	defer func() { err = errors.Join(err, p.Close()) }()
	settings, notes, err := p.Resolve(t.Settings)
	if err != nil {
		return nil, err
	}
	if t.Note != nil {
		t.Note(notes)
	}
	summary, err := p.Run(ctx, jobs, infer.RunOptions{
		Settings: settings, Batch: t.Batch, Report: t.Report,
		Provenance: []imagefile.Pair{
			{Key: imagefile.KeyDescription, Value: "virtual stain, research use only"},
			{Key: imagefile.KeySoftware, Value: t.Software},
			{Key: infer.ModelKey, Value: fingerprint},
			{Key: infer.PrecisionKey, Value: t.Precision.String()},
			{Key: infer.NotesKey, Value: strings.Join(notes, "; ")},
		},
	})
	var problems []Problem
	for _, f := range summary.Failed {
		problems = append(problems, Problem{f.Input, f.Error})
	}
	if err == nil && len(problems) == len(jobs) {
		err = fmt.Errorf("none of %d pictures could be translated: %s: %s", len(jobs), problems[0].Where, problems[0].Error)
	}
	return problems, err
}
