package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/train"
)

// trainLog writes the progress of a training in lines, and on a terminal with a bar below them.
type trainLog struct {
	w     io.Writer
	every int // steps between lines; 0 is none
	total int
	first bool       // no step was written
	bar   *statusBar // nil without a terminal

	resumes bool // the run continues if it can
}

func newTrainLog(w io.Writer, c experiments.Config) *trainLog {
	l := &trainLog{w: w, every: c.Train.LogEvery, total: c.Train.MaxSteps, first: true}
	switch {
	case isTerminal(w):
		l.bar = &statusBar{w: w, width: func() int {
			width, _, err := term.GetSize(int(w.(*os.File).Fd()))
			if err != nil || width < 1 {
				return 80
			}
			return width
		}}
		l.w = l.bar // its lines go above the bar
	case l.every == 0:
		l.every = spacing(l.total)
	}
	return l
}

// spacing is the smallest of 1, 2, 5, 10, 20 … steps that makes at most about 1000 lines of a run.
func spacing(steps int) int {
	for unit := 1; ; unit *= 10 {
		for _, n := range []int{unit, 2 * unit, 5 * unit} {
			if steps/n <= 1000 {
				return n
			}
		}
	}
}

// close removes the bar.
func (l *trainLog) close() {
	if l.bar != nil {
		l.bar.set("")
	}
}

// observe writes the events of a run.
func (l *trainLog) observe(event any) error {
	switch e := event.(type) {
	case progress.Note:
		fmt.Fprintln(l.w, "note: "+string(e))
	case train.Start:
		if len(e.Accepted) > 0 {
			fmt.Fprintf(l.w, "resuming despite changes since the checkpoint:\n  %s\n", strings.Join(e.Accepted, "\n  "))
		}
		if e.Step > 0 {
			fmt.Fprintf(l.w, "resuming after step %d of %d\n", e.Step, l.total)
		} else if l.resumes {
			fmt.Fprintln(l.w, "no checkpoint: starting a new run")
		}
	case train.Metrics:
		l.step(e)
	case train.Skip:
		fmt.Fprintf(l.w, "step %d skipped: %v\n", e.Step, e.Reason)
	case train.Scores:
		text := fmt.Sprintf("step %d", e.Step)
		for _, s := range e.Values {
			text += fmt.Sprintf("  %s %.4f", s.Name, s.Value)
		}
		fmt.Fprintln(l.w, text)
	case train.Saved:
		fmt.Fprintln(l.w, "saved "+filepath.Clean(e.Path))
	case train.Unsaved:
		fmt.Fprintf(l.w, "can't write a checkpoint, continuing without it: %v\n", e.Reason)
	}
	return nil
}

// step writes a step: the first, the last, and every l.every-th.
func (l *trainLog) step(m train.Metrics) {
	if l.bar != nil {
		const cells = 30
		done := strings.Repeat("=", m.Step*cells/l.total)
		l.bar.set(fmt.Sprintf("step %d/%d [%-*s]  %s", m.Step, l.total, cells, done, m.Brief()))
	}
	if l.every > 0 && (l.first || m.Step%l.every == 0 || m.Step == l.total) {
		fmt.Fprintln(l.w, m)
	}
	l.first = false
}

// statusBar is a line that stays below what is written to a terminal.
type statusBar struct {
	w     io.Writer
	width func() int // of the terminal, in characters
	text  string
}

// clearLine empties the terminal's line.
const clearLine = "\r\x1b[K"

// set shows another text, cut to the terminal's width.
func (b *statusBar) set(text string) {
	if runes := []rune(text); len(runes) >= b.width() {
		text = string(runes[:b.width()-1])
	}
	b.text = text
	fmt.Fprint(b.w, clearLine+text)
}

// Write writes whole lines above the bar.
func (b *statusBar) Write(lines []byte) (int, error) {
	if _, err := fmt.Fprintf(b.w, "%s%s%s", clearLine, lines, b.text); err != nil {
		return 0, err
	}
	return len(lines), nil
}
