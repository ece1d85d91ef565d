package mosaic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/data/origin"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/claim"
)

// series is a call of TranslateFiles.
type series struct {
	p       *infer.Pipeline
	o       FileOptions
	jobs    *infer.Jobs
	queue   *claim.Queue
	summary infer.Summary

	observed func() error // the first error of FileOptions.Observe
}

// TranslateFiles translates many slides, each as TranslateFile does, to outputs in one folder. Those that are current
// are skipped, and one that fails does not end the others. With FileOptions.Shard each process begins slides of its
// own; when none is left it helps with those of others. Preset is the name of that which the settings began with, for
// infer.Start. The error is ctx's or the observer's.
func TranslateFiles(ctx context.Context, p *infer.Pipeline, jobs *infer.Jobs, preset string, o FileOptions,
) (infer.Summary, error) {
	o.Current = true
	s := &series{p: p, o: o, jobs: jobs}
	s.o.Observe, s.observed = o.Observe.Keep()
	s.summary = infer.Summary{Failed: []infer.Failure{}, Jobs: len(jobs.List), Unreadable: len(jobs.Unreadable)}
	err := o.Observe.Report(infer.Start{Jobs: len(jobs.List), Preset: preset, Calls: o.Sampling.Calls()})
	if err == nil {
		s.queue, err = s.open()
	}
	if err != nil {
		return s.summary, err
	}
	err = errors.Join(s.all(ctx), s.queue.Close())
	s.summary.Failed = append(s.summary.Failed, jobs.Unreadable...)
	return s.summary, errors.Join(err, o.Observe.Report(s.summary))
}

// open is the queue of slides.
func (s *series) open() (*claim.Queue, error) {
	shard, folder := s.o.Shard, s.jobs.Folder
	o := claim.Options{Part: claim.Part{I: shard.Index, N: shard.Count}, Silence: shard.DeadAfter}
	items := make([]claim.Item, len(s.jobs.List))
	for i, j := range s.jobs.List {
		var err error
		if items[i], err = claim.FileItem(folder, j.Input, []string{j.Output}, s.jobs.Work(i)); err != nil {
			return nil, err
		}
	}
	if shard.Count > 0 {
		o.Folder = filepath.Join(folder, claim.FolderName)
		var err error
		if o.Origin, err = s.common(); err != nil {
			return nil, err
		}
	}
	q, err := claim.Open(items, o)
	if err != nil {
		return nil, fmt.Errorf("shard: %w", err)
	}
	return q, nil
}

// common is what all outputs depend on.
func (s *series) common() (o origin.Origin, err error) {
	o.Program = s.o.Program
	if o.Model, err = s.p.Fingerprint(); err != nil {
		return o, err
	}
	sampling, _, err := s.p.Resolve(s.o.Sampling)
	if err != nil {
		return o, err
	}
	chosen, err := s.o.chosen(s.p, s.o.File)
	if err != nil {
		return o, err
	}
	o.Settings, err = origin.NewSettings(sampling, s.o.Settings, chosen, stated{s.o.Match})
	return o, err
}

// all does all slides.
func (s *series) all(ctx context.Context) error {
	helped := map[int]bool{}
	return s.queue.Each(nil, func(c *claim.Claim) error {
		if c.Elsewhere {
			s.summary.Elsewhere++
			return s.o.Observe.Report(infer.Done{Job: s.jobs.List[c.Index], Err: infer.ErrElsewhere})
		}
		return s.slide(ctx, c)
	}, func() error { return s.help(ctx, helped) })
}

// slide does a slide.
func (s *series) slide(ctx context.Context, c *claim.Claim) error {
	j := s.jobs.List[c.Index]
	failed := s.translate(ctx, c.Index)
	if ended := cmp.Or(ctx.Err(), s.observed()); ended != nil && failed != nil {
		return ended
	}
	switch {
	case failed == nil:
		s.summary.Done++
	case errors.Is(failed, infer.ErrSkipped):
		s.summary.Skipped++
	default:
		s.summary.Failed = append(s.summary.Failed, infer.Failure{Input: j.Input, Error: failed.Error()})
	}
	record := failed
	if errors.Is(failed, infer.ErrSkipped) {
		record = nil
	}
	if err := c.Finish(record); err != nil {
		return err
	}
	return s.o.Observe.Report(infer.Done{Job: j, Err: failed})
}

// help helps with a slide that another process has begun, and with each one once: it stays until the slide is done.
// Without one it waits.
func (s *series) help(ctx context.Context, helped map[int]bool) error {
	left := s.queue.Left()
	for k := range left {
		i := left[(k+s.o.Shard.Index)%len(left)]
		if helped[i] {
			continue
		}
		helped[i] = true
		err := s.translate(ctx, i)
		if ended := cmp.Or(ctx.Err(), s.observed()); ended != nil && err != nil {
			return ended
		}
		return nil // what is wrong is said by the process whose slide it is
	}
	return s.queue.Wait(ctx)
}

// translate translates a slide, and says how far it is.
func (s *series) translate(ctx context.Context, i int) error {
	j := s.jobs.List[i]
	if err := os.MkdirAll(filepath.Dir(j.Output), 0o777); err != nil {
		return err
	}
	o := s.o
	o.Input, o.Output = j.Input, j.Output
	if j.Marker != "" {
		o.Sampling.Marker = infer.Markers{j.Marker}
	}
	o.Observe = progress.All(o.Observe, progress.On(func(e Progress) error {
		if !e.Preview {
			s.queue.Doing(i, e.Calls, e.Plan.Calls)
		}
		return nil
	}))
	_, err := o.translate(ctx, s.p)
	return err
}
