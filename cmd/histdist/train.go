package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/internal/ranks"
	"github.com/histdist/histdist/train"
)

// Arguments of --resume other than a checkpoint's folder.
const (
	latest = "latest" // the run's last checkpoint
	auto   = "auto"   // the same, or a new run
)

func trainCommand() *cobra.Command {
	var set []string
	var resume, on, every string
	var override, fallBack, dryRun bool
	var pull pullFlag
	command := &cobra.Command{
		Use:   "train EXPERIMENT.yaml",
		Short: "fine-tune a marker's model on image pairs",
		Long: `Trains as an experiment's file says. Built-in experiments need no file:
` + strings.Join(experiments.Names(), ", ") + `.

  histdist data check MIST/ER
  histdist train experiments/er.yaml --set data.dir=MIST/ER --dry-run
  histdist train experiments/er.yaml --set data.dir=MIST/ER
  histdist train experiments/er.yaml --set data.dir=MIST/ER --resume latest

Ctrl-C or SIGTERM ends the run after the current step and saves it; that is no failure. --resume latest continues a run
that was stopped in whatever way from its last checkpoint; it ends with the same bytes as a run that was never stopped.
--resume auto, for jobs that are started again and again, starts a new run if there is no checkpoint. A run's folder may
be moved or copied: the run is where its experiment.yaml is.

Keys can be set by --set section.key=value, or in the environment: HISTDIST_TRAIN_LR=1e-4. They are listed in
docs/configuration.md and by 'histdist config print --experiment FILE --explain'.

Started by torchrun, srun or mpirun in a process for each GPU, with --device cuda, the processes share every step:
docs/scaling.md. If one fails they all end with exit code 75, and --resume auto continues.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeExperiments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if on != "" {
				set = append(set, "run.device="+on)
			}
			if cmd.Flags().Changed("log-every") {
				set = append(set, "train.log-every="+every)
			}
			c, values, err := experiments.Load(args[0], set, note(cmd))
			if err != nil {
				return err
			}
			r := train.Resume{Allowed: resume != "", Required: resume == latest, FallBack: fallBack, AcceptChanges: override}
			if resume != "" && resume != latest && resume != auto {
				r.From = resume
			}
			if err := r.Check(c.Run.Output); err != nil {
				return advice(err)
			}
			return withRanks(cmd, c, func(job *ranks.Job) error {
				base := model.Options{Phikon: c.Model.Phikon, Variant: c.Model.Variant}
				if leads(job) {
					if err := pull.missing(cmd, c.Model.Base, base); err != nil {
						return fmt.Errorf("model.base: %w", err)
					}
				}
				if !dryRun {
					return trainRun(cmd, c, values, r, job)
				}
				err := plan(cmd, c, values, r, job)
				if cmd.Context().Err() != nil && errors.Is(err, cmd.Context().Err()) {
					return errors.New("interrupted: nothing was measured")
				}
				return err
			})
		},
	}
	f := command.Flags()
	pull.add(command)
	f.StringArrayVar(&set, "set", nil, "KEY=VALUE over the file's, such as train.lr=1e-4; may be repeated")
	f.StringVar(&on, "device", "",
		"short for --set run.device=…: "+catalog.Usage()+"; several, such as cuda:0,cuda:1, share a step")
	f.StringVar(&every, "log-every", "0", "short for --set train.log-every=N: steps between lines of the log")
	f.StringVar(&resume, "resume", "",
		"continue from a checkpoint: latest, auto (latest, or else a new run), or its folder")
	f.BoolVar(&override, "accept-changes", false, "with --resume: continue although the configuration has changed")
	f.BoolVar(&fallBack, "fall-back", false,
		"with --resume latest: if that is damaged, continue from the checkpoint before it")
	f.BoolVar(&dryRun, "dry-run", false,
		"print the configuration and what the run would take, measured in two steps of each task; save nothing")
	return command
}

// plan prints what a run would take.
func plan(
	cmd *cobra.Command, c experiments.Config, values []configs.Value, resume train.Resume, job *ranks.Job,
) (err error) {
	text, err := configs.YAML(values, configs.Origins)
	if err != nil {
		return err
	}
	if leads(job) {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text); err != nil {
			return err
		}
	}
	e, err := experiments.OpenRank(cmd.Context(), c, values, job)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if leads(job) {
		for _, n := range e.Notes {
			note(cmd)(n)
		}
	}
	if err := e.Check(cmd.Context(), experiments.Launch{Resume: resume, Version: version}); err != nil {
		return advice(err)
	}
	p, err := e.Plan(cmd.Context())
	if err != nil || !leads(job) {
		return err
	}
	return p.WriteText(cmd.OutOrStdout(), c)
}

// trainRun trains, in one of the ranks of a job or alone. The first one reports.
func trainRun(
	cmd *cobra.Command, c experiments.Config, values []configs.Value, resume train.Resume, job *ranks.Job,
) (err error) {
	stderr := cmd.ErrOrStderr()
	if !leads(job) {
		stderr = io.Discard
	}
	e, err := experiments.OpenRank(cmd.Context(), c, values, job)
	if errors.Is(err, train.ErrStopped) {
		sayStopped(stderr, c, train.Result{})
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	for _, n := range e.Notes {
		fmt.Fprintln(stderr, "note: "+n)
	}
	if err := e.WriteHeader(stderr); err != nil {
		return err
	}
	log := newTrainLog(stderr, c)
	log.resumes = resume.Allowed
	r, err := e.Run(cmd.Context(), experiments.Launch{Resume: resume, Version: version, Observe: log.observe})
	log.close()
	if s := e.Skipped(); s.Pairs > 0 {
		fmt.Fprintf(stderr, "skipped %s\n", s)
	}
	if errors.Is(err, train.ErrStopped) {
		sayStopped(stderr, c, r)
		return nil
	}
	if err != nil {
		return advice(err)
	}
	fmt.Fprintf(stderr, "done: step %d, %s; make a model of it with 'histdist export %s --output MODEL'\n",
		r.Step, r.Checkpoint, c.Run.Output)
	return nil
}

// sayStopped says how far a stopped run came.
func sayStopped(stderr io.Writer, c experiments.Config, r train.Result) {
	text := "stopped before the first step: nothing to save"
	switch {
	case r.Checkpoint != "":
		text = fmt.Sprintf("stopped after step %d of %d, saved %s; continue with --resume latest",
			r.Step, c.Train.MaxSteps, r.Checkpoint)
	case r.Step > 0:
		text = fmt.Sprintf("stopped after step %d of %d: nothing new to save; continue with --resume latest", r.Step,
			c.Train.MaxSteps)
	}
	fmt.Fprintln(stderr, text)
}

// advice adds the option that helps to an error at the start of a run.
func advice(err error) error {
	switch {
	case errors.Is(err, train.ErrExists):
		return fmt.Errorf("%w: --resume latest, or --set run.output=FOLDER", err)
	case errors.Is(err, train.ErrNoCheckpoint):
		return fmt.Errorf("%w; --resume auto starts a new run if there is no checkpoint", err)
	case errors.Is(err, train.ErrChanged):
		return fmt.Errorf("%w\n--accept-changes continues nevertheless", err)
	case errors.Is(err, train.ErrDamaged):
		return fmt.Errorf("%w\n--fall-back continues from the checkpoint before it", err)
	}
	return err
}
