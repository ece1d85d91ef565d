package evaluate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/walk"
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
	Read          imagefile.Options
	Device        device.Device // stays the caller's
	Precision     vm.Precision
	LowMemory     bool
	Batch         int
	Software      string
	Report        infer.Reporter
	Note          func(notes []string) // is told what of the model's folder is overridden or left open; may be nil
}

// Run translates what is not there yet, or out of date. Pictures that fail are problems; an error is that there is nothing to evaluate, or ctx's.
func (t Translation) Run(ctx context.Context) (_ []Problem, err error) {
	if t.HE == "" {
		return nil, errors.New("--model translates the H&E pictures: --he is missing")
	}
	jobs, err := infer.Plan(ctx, infer.PlanOptions{Input: t.HE, Output: t.Output, Ending: ".png"})
	if err != nil {
		return nil, err
	}
	m, err := model.Open(t.Model, model.Options{Phikon: t.Phikon, Variant: t.Variant, Prediction: t.Settings.Prediction})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	p := infer.New(m, infer.Options{Device: t.Device, Precision: t.Precision, LowMemory: t.LowMemory})
	defer func() { err = errors.Join(err, p.Close()) }()
	_, notes, err := p.Resolve(t.Settings)
	if err != nil {
		return nil, err
	}
	if t.Note != nil {
		t.Note(notes)
	}
	summary, err := p.Run(ctx, jobs.List, infer.RunOptions{
		Settings: t.Settings, Read: t.Read, Batch: t.Batch, Report: t.Report, Program: t.Software,
		Replace: true, // the folder is the evaluation's own
	})
	if err == nil {
		err = t.removeOthers(ctx, jobs.List, summary.Failed)
	}
	var problems []Problem
	for _, f := range append(summary.Failed, jobs.Unreadable...) {
		problems = append(problems, Problem{f.Input, f.Error})
	}
	if err == nil && len(summary.Failed) == len(jobs.List) {
		err = fmt.Errorf("none of %d pictures could be translated: %s", len(jobs.List), problems[0])
	}
	return problems, err
}

// removeOthers removes virtual stains that an earlier run made of pictures that are gone, or that could not be translated again: they would
// be evaluated as if they were of today's.
func (t Translation) removeOthers(ctx context.Context, jobs []infer.Job, failed []infer.Failure) error {
	current := map[string]bool{}
	for _, j := range jobs {
		current[j.Output] = !slices.ContainsFunc(failed, func(f infer.Failure) bool { return f.Input == j.Input })
	}
	there, err := walk.Images(ctx, t.Output, walk.Options{Outputs: walk.PassAll})
	if errors.Is(err, fs.ErrNotExist) { // nothing was translated
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range there.Passed {
		if current[f.Path] {
			continue
		}
		if err := os.Remove(f.Path); err != nil {
			return err
		}
	}
	return nil
}
