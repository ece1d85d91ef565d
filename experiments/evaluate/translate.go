package evaluate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/walk"
)

// Translate makes the virtual stains of the H&E images in a folder that are missing or out of date, and, unless they
// are shared with other processes, removes all others. Images that fail are problems; an error means that there is
// nothing to evaluate, or that ctx ended.
func Translate(ctx context.Context, p *infer.Pipeline, he, output string, o infer.FileOptions) ([]Problem, error) {
	if he == "" {
		return nil, errors.New("--model translates the H&E images: --he is missing")
	}
	jobs, err := infer.FindJobs(ctx, infer.JobOptions{Input: he, Output: output, Ending: ".png"})
	if err != nil {
		return nil, err
	}
	o.ReplaceOthers = true // the folder is the evaluation's own
	summary, err := p.TranslateFiles(ctx, jobs, o)
	if err == nil && o.Shard.Count == 0 {
		err = removeOthers(ctx, output, jobs.List, summary.Failed)
	}
	var problems []Problem
	for _, f := range summary.Failed {
		problems = append(problems, Problem{f.Input, f.Error})
	}
	if err == nil && len(summary.Failed)-summary.Unreadable == summary.Jobs {
		err = fmt.Errorf("none of %d images could be translated: %s", summary.Jobs, problems[0])
	}
	return problems, err
}

// removeOthers removes virtual stains of an earlier run whose images are gone or could not be translated again, so that
// they are not evaluated.
func removeOthers(ctx context.Context, folder string, jobs []infer.Job, failed []infer.Failure) error {
	current := map[string]bool{}
	for _, j := range jobs {
		current[j.Output] = !slices.ContainsFunc(failed, func(f infer.Failure) bool { return f.Input == j.Input })
	}
	there, err := walk.Images(ctx, folder, walk.Options{Outputs: walk.PassAll})
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
