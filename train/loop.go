package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/histdist/histdist/graph/rng"
)

// run is a call of Run.
type run struct {
	RunOptions
	trainer *Trainer
	config  Config
	folder  folder
	result  Result
	saved   int // the step of the last checkpoint, also of the one that the run continues from

	accepted []string // changes since the checkpoint

	position     Position // of the next micro-step that is drawn
	noise, tasks *rng.Torch
	ahead        *ahead
	mark         mark // after the last update

	began time.Time
	means running
}

// mark is a run's position between two optimisation steps, as checkpoints save it.
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
		// The tasks have their own generator, so that the noise is the official implementation's.
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

// here is the run's position, before anything drawn ahead.
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

// step takes one optimisation step: Config.Accumulate micro-steps, or as many as the epoch has left, and an update.
func (r *run) step(ctx context.Context) (Metrics, error) {
	defer r.settle()
	begin, flop, images := time.Now(), r.trainer.operations(), 0
	m := Metrics{
		Step: r.trainer.Step() + 1, Steps: r.config.MaxSteps, Epoch: r.at().Epoch, Losses: map[string]float64{},
		Skipped: r.result.Skipped,
	}
	counts := map[string]float64{}
	var group []drawn
	for len(group) < r.config.Accumulate && r.at().Epoch == m.Epoch {
		next, err := r.take(ctx, r.config.Accumulate-len(group))
		if err != nil {
			return m, err
		}
		r.drawAhead(ctx, r.config.Accumulate-len(group)-len(next), m.Epoch)
		all, err := r.trainer.accumulateAll(ctx, next)
		if errors.Is(err, ErrNotFinite) { // a target
			err = r.notFiniteError(append(group, next...), err)
		}
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

// after reports a step, and validates and saves when due.
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

// saveOrGoOn saves; with Config.ContinueUnsaved the run continues if that fails.
func (r *run) saveOrGoOn(ctx context.Context) error {
	err := r.save()
	if err != nil && r.config.ContinueUnsaved && ctx.Err() == nil {
		return r.Observe.Report(Unsaved{r.withCheckpoint(err)})
	}
	return err
}

// save writes a checkpoint of the state after the last update. It is not interrupted.
func (r *run) save() error {
	step := r.trainer.Step()
	path, err := r.folder.save(r.trainer, checkpoint{
		Format: checkpointFormat, Program: r.Version, Machine: r.trainer.options.machine(),
		Step: step, Position: r.mark.position, EpochLength: r.Examples.Len(), Skipped: r.result.Skipped,
		LearningRate: r.config.LearningRate.At(step, r.config.MaxSteps), Generators: r.mark.generators, Config: r.config,
		Inputs: r.Inputs,
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
