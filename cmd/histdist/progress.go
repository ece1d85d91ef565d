package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
)

// observer shows the progress of a translation or an evaluation: in bars on a terminal, else in lines. Training has
// trainLog.
func observer(w io.Writer) progress.Observer {
	l := &lines{w: w, log: slog.New(slog.NewTextHandler(w, nil))}
	if isTerminal(w) {
		return progress.All(l.general, (&bars{w: w}).observe)
	}
	return progress.All(l.general, l.observe)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// bars are one bar for all images and one for the steps of those that are translated now.
type bars struct {
	w        io.Writer
	progress *mpb.Progress
	images   *mpb.Bar
	steps    *mpb.Bar
	phase    infer.Phase
	last     time.Time
}

func (b *bars) observe(event any) error {
	switch e := event.(type) {
	case infer.Start:
		fmt.Fprintf(b.w, "images: %d, preset: %s, U-Net calls for each: %d\n", e.Jobs, cmp.Or(e.Preset, "none"), e.Calls)
		b.progress = mpb.New(mpb.WithOutput(b.w), mpb.WithWidth(64))
		b.images = b.progress.AddBar(int64(e.Jobs),
			mpb.PrependDecorators(decor.Name("images "), decor.CountersNoUnit("%d/%d")),
			mpb.AppendDecorators(decor.EwmaETA(decor.ET_STYLE_GO, 5)))
		b.last = time.Now()
	case infer.Step:
		if b.steps == nil || e.Phase != b.phase {
			b.endSteps()
			b.phase = e.Phase
			name := filepath.Base(e.Jobs[0].Input) + " " + string(e.Phase) + " "
			b.steps = b.progress.AddBar(int64(e.Count), mpb.BarRemoveOnComplete(),
				mpb.PrependDecorators(decor.Name(name), decor.CountersNoUnit("%d/%d")),
				mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
		}
		b.steps.SetCurrent(int64(e.Index))
	case infer.Done:
		b.endSteps()
		b.images.EwmaIncrement(time.Since(b.last))
		b.last = time.Now()
		if b.images.Completed() {
			b.progress.Wait()
		}
	}
	return nil
}

func (b *bars) endSteps() {
	if b.steps != nil {
		b.steps.Abort(true)
		b.steps = nil
	}
}

// lines are a line for each image, for long ones one for each phase, and one for each stage of an evaluation.
type lines struct {
	w           io.Writer
	log         *slog.Logger
	total, done int
	begin       time.Time
	stage       string
	last        time.Time // of a line on the stage
	slide       slideLines
}

// slideLines are the lines of a slide.
type slideLines struct {
	begin   time.Time
	before  int64 // U-Net calls that earlier runs made
	regions int   // finished
	preview bool  // the calls are those of a preview
}

// general writes what has lines on a terminal, too.
func (l *lines) general(event any) error {
	switch e := event.(type) {
	case progress.Note:
		fmt.Fprintln(l.w, "note: "+string(e))
	case progress.Stage: // when it begins or ends, and every few seconds
		if e.Name == l.stage && e.Done < e.Total && time.Since(l.last) < 3*time.Second {
			break
		}
		l.stage, l.last = e.Name, time.Now()
		if e.Total == 0 {
			fmt.Fprintf(l.w, "%s\n", e.Name)
			break
		}
		fmt.Fprintf(l.w, "%s: %d of %d\n", e.Name, e.Done, e.Total)
	case mosaic.Plan:
		l.slide = slideLines{}
		fmt.Fprintln(l.w, e)
	case mosaic.Progress:
		l.mosaic(e)
	case infer.Summary:
		for _, reason := range slices.Sorted(maps.Keys(e.Remade)) {
			fmt.Fprintf(l.w, "translated again: %d (%s)\n", e.Remade[reason], reason)
		}
		if e.Elsewhere > 0 {
			fmt.Fprintf(l.w, "done by other shards: %d\n", e.Elsewhere)
		}
	}
	return nil
}

// mosaic writes how far a slide is, every few seconds and when a region is finished.
func (l *lines) mosaic(e mosaic.Progress) {
	if e.Rows != nil {
		return
	}
	now := time.Now()
	if s := &l.slide; s.begin.IsZero() || e.Preview != s.preview { // what earlier runs did took no time now
		*s = slideLines{begin: now, before: e.Calls, preview: e.Preview}
	}
	finished := e.Regions != l.slide.regions
	if !finished && now.Sub(l.last) < 5*time.Second {
		return
	}
	l.slide.regions, l.last = e.Regions, now
	left := "unknown"
	if made := e.Calls - l.slide.before; made > 0 {
		each := float64(now.Sub(l.slide.begin)) / float64(made)
		left = time.Duration(each * float64(e.Plan.Calls-e.Calls)).Round(time.Second).String()
	}
	what := ""
	if e.Preview {
		what = "preview: "
	}
	fmt.Fprintf(l.w, "%sU-Net calls: %d of %d, regions: %d of %d, left: %s\n",
		what, e.Calls, e.Plan.Calls, e.Regions, e.Plan.Regions, left)
}

func (l *lines) observe(event any) error {
	switch e := event.(type) {
	case infer.Start:
		l.total, l.done, l.begin = e.Jobs, 0, time.Now()
		l.log.Info("translate", "images", e.Jobs, "preset", cmp.Or(e.Preset, "none"), "unet-calls", e.Calls)
	case infer.Step:
		if e.Index == 0 {
			l.log.Info(string(e.Phase), "image", e.Jobs[0].Input, "steps", e.Count)
		}
	case infer.Done:
		l.done++
		left := time.Since(l.begin) / time.Duration(l.done) * time.Duration(l.total-l.done)
		args := []any{"image", e.Input, "output", e.Output, "done", l.done, "of", l.total, "left", left.Round(time.Second)}
		switch {
		case errors.Is(e.Err, infer.ErrElsewhere):
		case errors.Is(e.Err, infer.ErrSkipped):
			l.log.Info("skipped: already done", args...)
		case e.Err != nil:
			l.log.Error("failed", append(args, "error", e.Err)...)
		default:
			l.log.Info("written", args...)
		}
	}
	return nil
}
