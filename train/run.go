package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/graph/rng"
)

// Examples provides what a run's micro-steps learn from.
type Examples interface {
	// Len is the number of micro-steps in an epoch.
	Len() int
	// Example returns the example of a position. It depends only on its arguments and the numbers that it draws from
	// noise, so that a run can continue from any position.
	Example(ctx context.Context, at Position, task Task, noise *rng.Torch) (Example, error)
}

// Skipper is Examples of which a process that has a part of a run's devices needs not make the others.
type Skipper interface {
	// Skip draws from noise what Example would, and returns an example with a shape and perhaps nothing else.
	Skip(ctx context.Context, at Position, task Task, noise *rng.Torch) (Example, error)
}

// RunOptions say what a run learns from and where it writes.
type RunOptions struct {
	Folder   string // of the checkpoints
	Examples Examples
	// Inputs are what the examples depend on, such as the crop size, by the names that errors show. Checkpoints record
	// them, and a run that would continue with others is refused.
	Inputs map[string]string
	// Source describes what the examples are made of; nil if unknown. Changes are refused as for Inputs.
	Source  Source
	Resume  Resume
	Observe Observer
	// Validate, which may be nil, scores the network every Config.ValidateEvery steps; see FixedNoise.
	Validate func(ctx context.Context, t *Trainer, step int) ([]Scalar, error)
	// ValidateFirst also validates a new run before its first step, if Config.ValidateEvery isn't 0.
	ValidateFirst bool
	Version       string // of the program, for checkpoints
	// Job has the processes of a run whose group has devices of several; nil for one process.
	Job Job
}

// Job is what the processes of a run tell each other in addition to sums.
type Job interface {
	// Agree returns an error in all processes, which says who differs, unless all pass the same facts.
	Agree(ctx context.Context, name string, facts map[string]string) error
	// At notes what this process does, so that one that the others wait for can be named.
	At(step int, doing string)
	// Context ends with ctx, and when the job has failed; then Err says why.
	Context(ctx context.Context) (context.Context, context.CancelFunc)
	Err() error
}

// Source describes what examples are made of, such as image files.
type Source interface {
	// Record is what checkpoints keep for comparison.
	Record() []byte
	// Changes lists how the source differs from a checkpoint's record, one change a line.
	Changes(record []byte) ([]string, error)
}

// ErrStopped is the error of a run that was told to stop and has saved its work.
var ErrStopped = errors.New("stopped")

// Result says how far a run came.
type Result struct {
	Resumed    int    // the step after which it continued
	Step       int    // the last
	Skipped    int    // steps that weren't finite
	Checkpoint string // the last that was written; "" is none
}

// errTold is the error of a run of which a process was told to stop, after the step in which all learn of it.
var errTold = errors.New("told to stop")

// Run trains up to Config.MaxSteps and writes checkpoints on the way and at the end. When ctx ends, it finishes the
// current update or discards the gradients since the last, saves, and returns ErrStopped, wrapping ctx's error.
//
// Of several processes each calls Run with the same options. The folder must be the same to all; the one with the
// group's first device locks it, validates and writes. When ctx ends in one of them, all stop after the same step.
func Run(ctx context.Context, t *Trainer, o RunOptions) (_ Result, err error) {
	note, unlock, err := o.open(t)
	if err != nil {
		return Result{}, fmt.Errorf("training: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if note != "" {
		if err := o.Observe.Report(Note(note)); err != nil {
			return Result{}, fmt.Errorf("training: %w", err)
		}
	}
	work, cancel := o.work(ctx, t)
	defer cancel()
	r, err := begin(work, t, o)
	r.told = ctx
	if err == nil && t.leads() {
		err = r.folder.clean()
	}
	if err != nil {
		return r.result, fmt.Errorf("training: %w", err)
	}
	err = r.train(work)
	switch {
	case o.Job != nil && o.Job.Err() != nil: // whatever else went wrong comes of it
		err = o.Job.Err()
	case errors.Is(err, errTold):
		cause := ctx.Err()
		if cause == nil {
			cause = errors.New("another rank was told to stop")
		}
		err = r.interrupted(nil, cause)
	case err != nil && ctx.Err() != nil && !t.shared():
		err = r.interrupted(err, ctx.Err())
	}
	if err != nil && !errors.Is(err, ErrStopped) {
		err = r.withCheckpoint(err)
	}
	if err != nil {
		err = fmt.Errorf("training: %w", err)
	}
	return r.result, err
}

// open makes and locks the folder, in the process that writes.
func (o RunOptions) open(t *Trainer) (note string, unlock func() error, err error) {
	if !t.leads() {
		return "", func() error { return nil }, nil
	}
	if err := os.MkdirAll(o.Folder, 0o755); err != nil {
		return "", nil, err
	}
	locked, err := lock(o.Folder)
	if err != nil {
		return "", nil, err
	}
	return locked.Note, locked.Close, nil
}

// work is the context of a run's work. Of several processes none stops by itself: what ends ctx is shared by outcomes.
func (o RunOptions) work(ctx context.Context, t *Trainer) (context.Context, context.CancelFunc) {
	if t.shared() {
		ctx = context.WithoutCancel(ctx)
	}
	if o.Job != nil {
		return o.Job.Context(ctx)
	}
	return context.WithCancel(ctx)
}

// Check begins a run as Run does and ends it before its first step, with the error that Run would return. It leaves no
// files.
func Check(t *Trainer, o RunOptions) (err error) {
	if t.leads() {
		made := missing(o.Folder)
		defer func() {
			for _, dir := range made {
				err = errors.Join(err, os.RemoveAll(dir))
			}
		}()
	}
	_, unlock, err := o.open(t)
	if err != nil {
		return fmt.Errorf("training: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if _, err := begin(context.Background(), t, o); err != nil {
		return fmt.Errorf("training: %w", err)
	}
	return nil
}

// missing lists the folders that have to be made for a folder, the innermost first.
func missing(folder string) []string {
	var list []string
	for {
		if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
			return list
		}
		list = append(list, folder)
		folder = filepath.Dir(folder)
	}
}

// interrupted saves a run that was told to stop and ended with err.
func (r *run) interrupted(err, cause error) error {
	r.trainer.Discard()
	if errors.Is(err, cause) {
		err = nil // no other reason
	}
	if r.saved != r.trainer.Step() {
		err = errors.Join(err, r.save())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("interrupted after step %d: %w", r.trainer.Step(), cause), err)
	}
	return fmt.Errorf("%w after step %d: %w", ErrStopped, r.trainer.Step(), cause)
}

// withCheckpoint adds to an error the checkpoint that the run can continue from.
func (r *run) withCheckpoint(err error) error {
	steps, failed := r.folder.candidates()
	switch {
	case failed != nil:
		return err
	case len(steps) == 0:
		return fmt.Errorf("%w\nno checkpoint was written", err)
	}
	return fmt.Errorf("%w\nthe last good checkpoint is %s", err, r.folder.path(steps[0]))
}
