package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/internal/progress"
)

// Examples gives a run's micro-steps what they learn from.
type Examples interface {
	// Len is the number of micro-steps in an epoch.
	Len() int
	// Example returns that of a position. It depends on nothing but its arguments and the numbers that it draws from noise, so that a
	// run can go on from any position.
	Example(ctx context.Context, at Position, task Task, noise *rng.Torch) (Example, error)
}

// RunOptions say what a run learns from and where it writes.
type RunOptions struct {
	Folder   string // of the checkpoints
	Examples Examples
	// Inputs say what the examples depend on, such as the crop's size and a hash of the pairs, by the names that errors show. A
	// checkpoint holds them; a run that goes on with others is refused.
	Inputs map[string]string
	// Source says what the examples are made of; nil if nothing is known. Its changes are refused as those of Inputs are.
	Source Source
	Resume Resume
	// Observe receives the events of events.go. Its error ends the run.
	Observe progress.Observer
	// Validate, which may be nil, scores the network every Config.ValidateEvery steps; see FixedNoise.
	Validate func(ctx context.Context, t *Trainer, step int) ([]Scalar, error)
	// ValidateFirst also validates a new run before its first step, if Config.ValidateEvery isn't 0.
	ValidateFirst bool
	Version       string // of the program, for checkpoints
}

// Source describes what examples are made of, such as image files.
type Source interface {
	// Record is what checkpoints keep to compare.
	Record() []byte
	// Changes says in what the source is another than that of a checkpoint's record, a line each.
	Changes(record []byte) ([]string, error)
}

// ErrStopped is the error of a run that was told to stop, and has saved all that it did.
var ErrStopped = errors.New("stopped")

// Result says how far a run came.
type Result struct {
	Resumed    int    // the step that it went on behind
	Step       int    // the last
	Skipped    int    // steps left out because they weren't finite
	Checkpoint string // the last that was written, "" if none was
}

// Run trains up to Config.MaxSteps and writes checkpoints on the way and at the end. When ctx ends, it finishes the update that is
// under way or gives up the gradients since the last, saves what is there, and returns an error that wraps ctx's.
func Run(ctx context.Context, t *Trainer, o RunOptions) (_ Result, err error) {
	if err := os.MkdirAll(o.Folder, 0o755); err != nil {
		return Result{}, fmt.Errorf("training: %w", err)
	}
	locked, err := lock(o.Folder)
	if err != nil {
		return Result{}, fmt.Errorf("training: %w", err)
	}
	defer func() { err = errors.Join(err, locked.Close()) }()
	if locked.Note != "" {
		if err := o.Observe.Report(progress.Note(locked.Note)); err != nil {
			return Result{}, fmt.Errorf("training: %w", err)
		}
	}
	r, err := begin(t, o)
	if err == nil {
		err = r.folder.clean()
	}
	if err != nil {
		return r.result, fmt.Errorf("training: %w", err)
	}
	err = r.train(ctx)
	if err != nil && ctx.Err() != nil {
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

// Check begins a run as Run does and ends it before its first step: its error is what Run would say. No file or folder is left of it.
func Check(t *Trainer, o RunOptions) (err error) {
	made := missing(o.Folder)
	defer func() {
		for _, dir := range made {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := os.MkdirAll(o.Folder, 0o755); err != nil {
		return fmt.Errorf("training: %w", err)
	}
	locked, err := lock(o.Folder)
	if err != nil {
		return fmt.Errorf("training: %w", err)
	}
	defer func() { err = errors.Join(err, locked.Close()) }()
	if _, err := begin(t, o); err != nil {
		return fmt.Errorf("training: %w", err)
	}
	return nil
}

// missing lists a folder and those around it that have to be made for it, the innermost first.
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

// run is a call of Run.
type run struct {
	RunOptions
	trainer *Trainer
	config  Config
	folder  folder
	result  Result
	saved   int // the step of the last checkpoint, or the one that the run went on behind

	accepted []string // changes since the checkpoint

	position     Position // of the next micro-step that is drawn
	noise, tasks *rng.Torch
	ahead        *ahead
	mark         mark // behind the last update

	began time.Time
	means running
}

// mark is where a run stands between two optimisation steps: what checkpoints save.
type mark struct {
	position   Position
	generators generators
}

// begin starts anew or from a checkpoint. It only reads.
func begin(t *Trainer, o RunOptions) (*run, error) {
	r := &run{RunOptions: o, trainer: t, config: t.config, folder: folder(o.Folder), means: running{}}
	if o.Examples == nil || o.Examples.Len() < 1 {
		return r, errors.New("want at least one example")
	}
	c, changes, err := r.folder.resume(t, o)
	if err != nil {
		return r, err
	}
	r.accepted = changes
	if c == nil {
		// The tasks have a generator of their own, so that the noise is the official implementation's.
		r.noise, r.tasks = rng.NewTorch(r.config.Seed), rng.NewTorch(r.config.Seed+1)
	} else {
		if r.noise, err = generator(c.Generators.Noise); err != nil {
			return r, err
		}
		if r.tasks, err = generator(c.Generators.Tasks); err != nil {
			return r, err
		}
		r.position, r.result.Skipped = c.Position, c.Skipped
	}
	r.saved = r.trainer.Step()
	r.result.Resumed, r.result.Step = r.saved, r.saved
	r.setMark()
	return r, nil
}

// here is where the run stands: before what was drawn ahead.
func (r *run) here() mark {
	if r.ahead != nil {
		return r.ahead.from
	}
	return mark{r.position, generators{r.noise.State(), r.tasks.State()}}
}

func (r *run) setMark() { r.mark = r.here() }

func (r *run) train(ctx context.Context) error {
	if err := r.Observe.Report(Start{r.result.Step, r.accepted}); err != nil {
		return err
	}
	if r.result.Step == 0 && r.ValidateFirst && r.config.ValidateEvery > 0 {
		if err := r.validate(ctx, 0); err != nil {
			return err
		}
	}
	r.began = time.Now()
	for r.trainer.Step() < r.config.MaxSteps {
		m, err := r.step(ctx)
		var bad *notFiniteError
		if errors.As(err, &bad) && ctx.Err() == nil {
			err = r.notFinite(ctx, err)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if err := r.after(ctx, m); err != nil {
			return err
		}
	}
	if r.saved != r.trainer.Step() {
		return r.save()
	}
	return nil
}

// drawn is an example with its draws and what it is for.
type drawn struct {
	example Example
	draws   Draws
	task    Task
	at      Position
}

// notFiniteError is a step that went wrong, with what it learnt from.
type notFiniteError struct {
	step   int
	title  string // of the last micro-step
	micro  []drawn
	reason error
}

// Error says where.
func (e *notFiniteError) Error() string {
	last := e.micro[len(e.micro)-1]
	return fmt.Sprintf("step %d (epoch %d, micro-step %d, %s): %v", e.step, last.at.Epoch, last.at.Index, e.title, e.reason)
}

// Unwrap returns the reason.
func (e *notFiniteError) Unwrap() error { return e.reason }

func (r *run) notFiniteError(micro []drawn, reason error) error {
	return &notFiniteError{r.trainer.Step() + 1, r.trainer.objective.title(micro[len(micro)-1].task), micro, reason}
}

// step takes one optimisation step: micro-steps as many as are accumulated, or as the epoch has left, and an update.
func (r *run) step(ctx context.Context) (Metrics, error) {
	defer r.settle()
	begin, flop, images := time.Now(), r.trainer.operations(), 0
	m := Metrics{Step: r.trainer.Step() + 1, Steps: r.config.MaxSteps, Epoch: r.at().Epoch, Losses: map[string]float64{}, Skipped: r.result.Skipped}
	counts := map[string]float64{}
	var group []drawn
	for len(group) < r.config.Accumulate && r.at().Epoch == m.Epoch {
		next, err := r.take(ctx, r.config.Accumulate-len(group))
		if err != nil {
			return m, err
		}
		r.drawAhead(ctx, r.config.Accumulate-len(group)-len(next), m.Epoch)
		all, err := r.trainer.accumulateAll(ctx, next)
		if err != nil {
			return m, err
		}
		for i, d := range next {
			group = append(group, d)
			values := all[i]
			if loss := values[0]; !isFinite(loss) {
				return m, r.notFiniteError(group, fmt.Errorf("the loss is %g: %w", loss, ErrNotFinite))
			}
			m.Loss += values[0] / float64(r.config.Accumulate)
			for name, loss := range r.trainer.objective.losses(d.task, values) {
				m.Losses[name] += loss
				counts[name]++
			}
			images += d.example.Shape[0]
		}
	}
	u, err := r.trainer.Update(ctx)
	if errors.Is(err, ErrNotFinite) {
		err = r.notFiniteError(group, err)
	}
	if err != nil {
		return m, err
	}
	r.setMark()
	r.result.Step = u.Step
	for name, n := range counts {
		m.Losses[name] /= n
	}
	m.Means = r.means.add(m.Losses)
	m.GradientNorm, m.LearningRate, m.EMADecay = u.GradientNorm, u.LearningRate, u.EMADecay
	m.Seconds = time.Since(begin).Seconds()
	m.ImagesPerSecond = float64(images) / m.Seconds
	m.TFLOPS = float64(r.trainer.operations()-flop) / m.Seconds / 1e12
	m.Memory = r.trainer.options.Device.Allocated()
	each := time.Since(r.began) / time.Duration(u.Step-r.result.Resumed)
	m.Left = each * time.Duration(r.config.MaxSteps-u.Step)
	return m, nil
}

// draw makes the next micro-step.
func (r *run) draw(ctx context.Context) (drawn, error) {
	if err := ctx.Err(); err != nil {
		return drawn{}, err
	}
	d := drawn{at: r.position, task: r.config.taskAt(r.position, r.tasks)}
	var err error
	if d.example, err = r.Examples.Example(ctx, d.at, d.task, r.noise); err != nil {
		return d, fmt.Errorf("epoch %d, micro-step %d: %w", d.at.Epoch, d.at.Index, err)
	}
	if d.draws, err = r.trainer.Draw(r.noise, d.example); err != nil {
		return d, err
	}
	r.position = r.position.next(r.Examples.Len())
	return d, nil
}

// notFinite leaves a step out, if that is still allowed, or says where the first value went wrong.
func (r *run) notFinite(ctx context.Context, err error) error {
	r.trainer.Discard()
	if failed := r.rewind(); failed != nil {
		return errors.Join(err, failed)
	}
	if r.result.Skipped < r.config.MaxSkipped {
		r.result.Skipped++
		r.setMark()
		return r.Observe.Report(Skip{r.trainer.Step() + 1, err})
	}
	var bad *notFiniteError
	if errors.As(err, &bad) {
		for _, d := range bad.micro {
			if traced := r.trainer.Trace(ctx, d.example, d.draws); traced != nil {
				err = fmt.Errorf("%w\nfirst in %w", err, traced)
				break
			}
		}
	}
	return err
}

// withCheckpoint adds to an error what the run can go on from.
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

// after reports a step, and validates and saves where it is time.
func (r *run) after(ctx context.Context, m Metrics) error {
	if err := r.Observe.Report(m); err != nil {
		return err
	}
	if due(m.Step, r.config.ValidateEvery) {
		if err := r.validate(ctx, m.Step); err != nil {
			return err
		}
	}
	if due(m.Step, r.config.CheckpointEvery) {
		return r.saveOrGoOn(ctx)
	}
	return nil
}

func (r *run) validate(ctx context.Context, step int) error {
	if r.Validate == nil {
		return nil
	}
	scores, err := r.Validate(ctx, r.trainer, step)
	if err != nil {
		return fmt.Errorf("validation: %w", err)
	}
	return r.Observe.Report(Scores{step, scores})
}

func due(step, every int) bool { return every > 0 && step%every == 0 }

// saveOrGoOn saves, and goes on without where that is wished.
func (r *run) saveOrGoOn(ctx context.Context) error {
	err := r.save()
	if err != nil && r.config.ContinueUnsaved && ctx.Err() == nil {
		return r.Observe.Report(Unsaved{r.withCheckpoint(err)})
	}
	return err
}

// save writes a checkpoint of the state behind the last update. It is not interrupted.
func (r *run) save() error {
	step := r.trainer.Step()
	path, err := r.folder.save(r.trainer, checkpoint{
		Format: checkpointFormat, Program: r.Version, Machine: r.trainer.options.machine(),
		Step: step, Position: r.mark.position, EpochLength: r.Examples.Len(), Skipped: r.result.Skipped,
		LearningRate: r.config.LearningRate.At(step, r.config.MaxSteps), Generators: r.mark.generators, Config: r.config, Inputs: r.Inputs,
	}, r.Source)
	if err != nil {
		return err
	}
	r.saved, r.result.Checkpoint = step, path
	if err := r.folder.prune(r.config, step); err != nil {
		return err
	}
	return r.Observe.Report(Saved{path})
}

// interrupted saves what a run has that was told to stop, and ended with err.
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
