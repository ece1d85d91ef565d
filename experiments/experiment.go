package experiments

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/schedule"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/atomicfile"
	"github.com/histdist/histdist/internal/ranks"
	"github.com/histdist/histdist/train"
)

// What a run's folder holds in addition to its checkpoints.
const (
	configFile       = "experiment.yaml" // the whole configuration
	metricsFile      = "metrics.jsonl"
	tensorBoardDir   = "tensorboard"
	validationFolder = "validation"
	latestFile       = "latest" // written by package train
)

// Experiment is a training run that is ready to begin.
type Experiment struct {
	Config Config
	Pairs  Pairs
	Notes  []string // what a user should know before the run

	values     []configs.Value
	unreadable data.Skipped   // pairs that were left out when opening and for the validation
	splits     map[string]int // pairs by split, used or not
	contents   contents       // of the images
	base       string         // fingerprint of the model to start from

	job      *ranks.Job // nil for one process
	device   catalog.Set
	model    *model.Model
	sampler  infer.Settings // of the validation
	frozen   *train.Frozen  // nil for an autoencoder
	trainer  *train.Trainer
	source   *batches
	examples train.Examples
}

// Open opens what a configuration names; values are its origins, from Load. It writes nothing but what has to be made,
// such as a widened U-Net, in the run's folder.
func Open(ctx context.Context, c Config, values []configs.Value) (*Experiment, error) {
	return OpenRank(ctx, c, values, nil)
}

// OpenRank is Open in one of several processes, each with a GPU, that share a training. Their images, models and
// configurations must be the same; the run's folder must be one folder to all.
func OpenRank(ctx context.Context, c Config, values []configs.Value, job *ranks.Job) (_ *Experiment, err error) {
	e := &Experiment{Config: c, values: values, job: job}
	defer func() {
		if err != nil {
			err = errors.Join(stopped(ctx, err), e.Close())
		}
	}()
	// First what costs least and fails most.
	if err := e.openPairs(ctx); err != nil {
		return nil, err
	}
	if err := e.openDevice(); err != nil {
		return nil, fmt.Errorf("run.device: %w", err)
	}
	unet, err := e.openModelOnce(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.joinRanks(ctx); err != nil {
		return nil, err
	}
	if e.sampler, err = c.Sampler(e.model.Purpose); err != nil {
		return nil, err
	}
	return e, e.openTrainer(ctx, unet)
}

// stopped returns train.ErrStopped if err is that ctx ended before a run's first step, else err.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) || errors.Is(err, train.ErrStopped) {
		return err
	}
	return fmt.Errorf("%w before the first step: %w", train.ErrStopped, ctx.Err())
}

func (e *Experiment) openTrainer(ctx context.Context, unet string) error {
	c := e.Config.Train
	noise, err := e.model.Scheduler.For(c.Prediction)
	if err != nil {
		return fmt.Errorf("train.prediction-type: %w", err)
	}
	if c.Objective != train.Autoencoder {
		e.Notes = append(e.Notes, e.model.Scheduler.Notes(c.Prediction)...)
	}
	s, err := schedule.New(noise)
	if err != nil {
		return err
	}
	base := ""
	if c.Adapter.Kind != "" {
		if base, err = model.UNetFingerprint(unet, e.Config.Model.Variant); err != nil {
			return fmt.Errorf("model.base: %w", err)
		}
	}
	e.trainer, err = train.New(c, train.Options{
		Device: e.device.Device, Peers: e.device.Peers, Group: e.device.Group, UNet: unet, Base: base,
		VAE: filepath.Join(e.model.Dir, "vae"), Variant: e.Config.Model.Variant, Schedule: s,
	})
	if err != nil {
		return err
	}
	if c.Objective == train.Autoencoder {
		e.examples = train.Images(e.source)
		return nil
	}
	e.frozen, err = train.NewFrozen(ctx, e.model, train.FrozenOptions{
		Options: vm.Options{Device: e.device.Device, Precision: c.Precision, LowMemory: c.LowMemory},
		Prompt:  e.Config.Model.Prompt, CacheBytes: int64(e.Config.Data.Cache) << 20,
		Images: c.Objective == train.EndToEnd,
	})
	if err != nil {
		return err
	}
	e.examples = e.frozen.Over(e.source)
	return nil
}

// Close frees everything.
func (e *Experiment) Close() error {
	var errs []error
	if e.source != nil {
		e.source.close()
	}
	if e.frozen != nil {
		errs = append(errs, e.frozen.Close())
	}
	if e.trainer != nil {
		errs = append(errs, e.trainer.Close())
	}
	if e.model != nil {
		errs = append(errs, e.model.Close())
	}
	return errors.Join(append(errs, e.device.Close())...)
}

// Skipped returns the unreadable pairs so far, under data.corrupt: skip.
func (e *Experiment) Skipped() data.Skipped {
	return e.unreadable.Plus(e.source.loader.Stats().Skipped)
}

// Launch say how a run begins and whom it tells.
type Launch struct {
	Resume  train.Resume
	Version string            // of the program
	Observe progress.Observer // see train.RunOptions
}

// Check does what Run does before the first step but writes nothing. Its errors are Run's.
func (e *Experiment) Check(ctx context.Context, o Launch) error {
	prepared, err := e.prepare(ctx, o)
	if err != nil {
		return err
	}
	return train.Check(e.trainer, prepared)
}

// prepare opens what else a run needs.
func (e *Experiment) prepare(ctx context.Context, o Launch) (train.RunOptions, error) {
	r := train.RunOptions{
		Folder: e.Config.Run.Output, Examples: e.examples, Inputs: e.inputs(), Source: e.contents,
		Resume: o.Resume, Observe: o.Observe,
		Version: o.Version, ValidateFirst: e.Config.Validation.AtStart,
	}
	if e.job != nil {
		r.Job = e.job
	}
	if e.Config.Train.ValidateEvery > 0 && e.leads() {
		var err error
		if r.Validate, err = e.validation(ctx, o.Observe); err != nil {
			return r, stopped(ctx, fmt.Errorf("validation: %w", err))
		}
	}
	return r, nil
}

// Run trains: see train.Run. The run's folder gets the configuration, metrics.jsonl, event files for TensorBoard, the
// validation's panels, and checkpoints. Of several processes the first one writes and reports.
func (e *Experiment) Run(ctx context.Context, o Launch) (_ train.Result, err error) {
	if !e.leads() {
		o.Observe = nil
		prepared, err := e.prepare(ctx, o)
		if err != nil {
			return train.Result{}, err
		}
		return train.Run(ctx, e.trainer, prepared)
	}
	folder := e.Config.Run.Output
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return train.Result{}, err
	}
	lines, err := train.OpenJSONLines(filepath.Join(folder, metricsFile))
	if err != nil {
		return train.Result{}, err
	}
	defer func() { err = errors.Join(err, lines.Close()) }()
	observers := []progress.Observer{lines.Observe}
	if e.Config.Run.TensorBoard {
		var board *train.TensorBoard
		if board, err = train.NewTensorBoard(filepath.Join(folder, tensorBoardDir)); err != nil {
			return train.Result{}, err
		}
		defer func() { err = errors.Join(err, board.Close()) }()
		observers = append(observers, board.Observe)
	}
	if e.Config.Run.MLflow != "" {
		var tracker *train.MLflow
		if tracker, err = e.mlflow(o); err != nil {
			return train.Result{}, err
		}
		defer func() { err = errors.Join(err, tracker.Close(err)) }()
		observers = append(observers, tracker.Observe)
	}
	o.Observe = progress.All(append(observers, progress.On(e.writeConfig), o.Observe)...)
	prepared, err := e.prepare(ctx, o)
	if err != nil {
		return train.Result{}, err
	}
	return train.Run(ctx, e.trainer, prepared)
}

// mlflow prepares for the run that an MLflow server gets. Its parameters are the whole configuration.
func (e *Experiment) mlflow(o Launch) (*train.MLflow, error) {
	params := map[string]string{}
	for _, v := range e.values {
		params[v.Key] = fmt.Sprint(v.Value)
	}
	return train.NewMLflow(train.MLflowOptions{
		Server: e.Config.Run.MLflow, Folder: e.Config.Run.Output, Experiment: "histdist", Params: params,
		Tags:    map[string]string{"mlflow.source.name": "histdist " + o.Version, "marker": e.marker()},
		Observe: o.Observe,
	})
}

// writeConfig writes the configuration once the run has its lock.
func (e *Experiment) writeConfig(train.Start) error {
	text, err := configs.YAML(e.values, configs.NoComments)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(e.Config.Run.Output, configFile), text)
}
