package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/histdist/histdist/infer"
)

// bars shows how a run goes on a terminal: one bar for all images, one for the steps of those that are translated now.
type bars struct {
	w        io.Writer
	progress *mpb.Progress
	images   *mpb.Bar
	steps    *mpb.Bar
	phase    infer.Phase
	last     time.Time
}

func newBars(w io.Writer) *bars {
	return &bars{w: w, progress: mpb.New(mpb.WithOutput(w), mpb.WithWidth(64))}
}

func (b *bars) Begin(jobs int) {
	b.images = b.progress.AddBar(int64(jobs),
		mpb.PrependDecorators(decor.Name("images "), decor.CountersNoUnit("%d/%d")),
		mpb.AppendDecorators(decor.EwmaETA(decor.ET_STYLE_GO, 5)))
	b.last = time.Now()
}

func (b *bars) Step(jobs []infer.Job, e infer.Event) {
	if b.steps == nil || e.Phase != b.phase {
		b.endSteps()
		b.phase = e.Phase
		b.steps = b.progress.AddBar(int64(e.Steps), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(filepath.Base(jobs[0].Input)+" "+string(e.Phase)+" "), decor.CountersNoUnit("%d/%d")),
			mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
	}
	b.steps.SetCurrent(int64(e.Step))
}

func (b *bars) Done(infer.Job, error) {
	b.endSteps()
	b.images.EwmaIncrement(time.Since(b.last))
	b.last = time.Now()
	if b.images.Completed() {
		b.progress.Wait()
	}
}

func (b *bars) End(s infer.Summary) { writeRemade(b.w, s) }

func (b *bars) endSteps() {
	if b.steps != nil {
		b.steps.Abort(true)
		b.steps = nil
	}
}

// writeRemade says why outputs that were there were made anew.
func writeRemade(w io.Writer, s infer.Summary) {
	for _, reason := range slices.Sorted(maps.Keys(s.Remade)) {
		fmt.Fprintf(w, "made anew: %d (%s)\n", s.Remade[reason], reason)
	}
}

// lines writes how a run goes as log lines: one for each image, and for long ones one for each phase.
type lines struct {
	w           io.Writer
	log         *slog.Logger
	total, done int
	begin       time.Time
}

func (l *lines) Begin(jobs int) {
	l.total, l.begin = jobs, time.Now()
	l.log.Info("translate", "images", jobs)
}

func (l *lines) Step(jobs []infer.Job, e infer.Event) {
	if e.Step == 0 {
		l.log.Info(string(e.Phase), "image", jobs[0].Input, "steps", e.Steps)
	}
}

func (l *lines) Done(j infer.Job, err error) {
	l.done++
	each := time.Since(l.begin) / time.Duration(l.done)
	args := []any{"image", j.Input, "output", j.Output, "done", l.done, "of", l.total, "left", (each * time.Duration(l.total-l.done)).Round(time.Second)}
	switch {
	case errors.Is(err, infer.ErrSkipped):
		l.log.Info("skipped: done before", args...)
	case err != nil:
		l.log.Error("failed", append(args, "error", err)...)
	default:
		l.log.Info("written", args...)
	}
}

func (l *lines) End(s infer.Summary) { writeRemade(l.w, s) }
