package train

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/histdist/histdist/graph/rng"
	"github.com/histdist/histdist/internal/ranks"
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

	told context.Context // ends when this process is told to stop
	stop bool            // one of the processes was

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

// begin starts anew or from a checkpoint, the same in all processes. It only reads.
func begin(ctx context.Context, t *Trainer, o RunOptions) (*run, error) {
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
	if o.Job == nil {
		return r, nil
	}
	return r, o.Job.Agree(ctx, "the run's beginning", r.facts())
}

// facts are what all processes must begin with: one may see an older state of the folder.
func (r *run) facts() map[string]string {
	m := r.trainer.options.machine()
	return map[string]string{
		"run.output": fmt.Sprintf("after step %d, epoch %d, micro-step %d", r.saved, r.position.Epoch, r.position.Index),
		"generators": fmt.Sprintf("%x", sha256.Sum256(append(r.noise.State(), r.tasks.State()...)))[:12],
		"device":     strings.TrimSpace(m.Device + " " + m.InstructionSet),
	}
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
		if r.stop && m.Step < r.config.MaxSteps {
			return errTold
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
	begin, epoch := time.Now(), r.at().Epoch
	o := r.trainer.newOutcome()
	group, err := r.learn(ctx, o)
	if err != nil {
		return Metrics{}, err
	}
	if r.told.Err() != nil {
		*o.stop() = 1
	}
	r.doing(ranks.Summing)
	if err := r.trainer.exchange(o); err != nil {
		return Metrics{}, err
	}
	r.stop = *o.stop() > 0
	m, err := r.summary(o, group)
	if err != nil {
		return m, err
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
	m.Epoch, m.Means = epoch, r.means.add(m.Losses)
	m.GradientNorm, m.LearningRate, m.EMADecay = u.GradientNorm, u.LearningRate, u.EMADecay
	m.Seconds = time.Since(begin).Seconds()
	m.ImagesPerSecond = float64(imagesOf(group)) / m.Seconds
	m.TFLOPS = float64(*o.teraOperations()) / m.Seconds
	m.Memory = r.trainer.options.Device.Allocated()
	each := time.Since(r.began) / time.Duration(u.Step-r.result.Resumed)
	m.Left = each * time.Duration(r.config.MaxSteps-u.Step)
	return m, nil
}

// learn takes the micro-steps of an optimisation step.
func (r *run) learn(ctx context.Context, o *outcome) (group []drawn, err error) {
	epoch := r.at().Epoch
	r.doing(ranks.Learning)
	for len(group) < r.config.Accumulate && r.at().Epoch == epoch {
		begin := time.Now()
		next, err := r.take(ctx, r.config.Accumulate-len(group))
		if err != nil {
			return group, err
		}
		o.waited(begin, r.trainer)
		r.drawAhead(ctx, r.config.Accumulate-len(group)-len(next), epoch)
		from := len(group)
		group = append(group, next...)
		last := len(group) == r.config.Accumulate || r.at().Epoch != epoch
		if err := r.trainer.accumulateAll(ctx, next, o, from, last); err != nil {
			return group, err
		}
	}
	return group, nil
}

// summary is what is known of a step before its update. A loss that is not finite is an error.
func (r *run) summary(o *outcome, group []drawn) (Metrics, error) {
	m := Metrics{
		Step: r.trainer.Step() + 1, Steps: r.config.MaxSteps, Losses: map[string]float64{}, Skipped: r.result.Skipped,
	}
	counts := map[string]float64{}
	values := make([]float64, mostValues)
	for i, d := range group {
		for k, x := range o.losses(i) {
			values[k] = float64(x)
		}
		values[0] /= r.trainer.share()
		if loss := values[0]; !isFinite(loss) {
			reason := o.reasons[i]
			if reason == nil {
				reason = fmt.Errorf("the loss is %g: %w", loss, ErrNotFinite)
			}
			return m, r.notFiniteError(group[:i+1], reason)
		}
		m.Loss += values[0] / float64(r.config.Accumulate)
		for name, loss := range r.trainer.objective.losses(d.task, values) {
			m.Losses[name] += loss
			counts[name]++
		}
	}
	for name, n := range counts {
		m.Losses[name] /= n
	}
	if o.size > 1 {
		for _, s := range o.seconds() {
			m.DeviceSeconds = append(m.DeviceSeconds, float64(s))
		}
	}
	return m, nil
}

// imagesOf is the number of images that micro-steps learn from.
func imagesOf(group []drawn) (n int) {
	for _, d := range group {
		n += d.example.Shape[0]
	}
	return n
}

// doing notes what this process does, for the others.
func (r *run) doing(what ranks.Doing) {
	if r.Job != nil {
		r.Job.At(r.trainer.Step()+1, what)
	}
}

// after reports a step, and validates and saves when due.
func (r *run) after(ctx context.Context, m Metrics) error {
	if err := r.Observe.Report(m); err != nil {
		return err
	}
	if due(m.Step, r.config.ValidateEvery) && !r.stop {
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
	if r.Validate == nil || !r.trainer.leads() {
		return nil
	}
	r.doing(ranks.Validating)
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
	r.trainer.toCollect()
	if !r.trainer.leads() {
		r.saved = step
		return r.trainer.collectRest()
	}
	r.doing(ranks.Saving)
	path, err := r.folder.save(r.trainer, checkpoint{
		Format: checkpointFormat, Program: r.Version, Machine: r.trainer.options.machine(),
		Step: step, Position: r.mark.position, EpochLength: r.Examples.Len(), Skipped: r.result.Skipped,
		LearningRate: r.config.LearningRate.At(step, r.config.MaxSteps), Generators: r.mark.generators, Config: r.config,
		Inputs: r.Inputs,
	}, r.Source)
	if err = errors.Join(err, r.trainer.collectRest()); err != nil {
		return err
	}
	r.saved, r.result.Checkpoint = step, path
	if err := r.folder.prune(r.config, step); err != nil {
		return err
	}
	return r.Observe.Report(Saved{path})
}
