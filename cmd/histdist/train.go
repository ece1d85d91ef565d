package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/device/devices"
	"github.com/histdist/histdist/train"
)

// latest is the argument of --resume for a run's last checkpoint.
const latest = "latest"

func trainCommand() *cobra.Command {
	var set []string
	var resume, on string
	var override, fallBack, dryRun bool
	command := &cobra.Command{
		Use:   "train EXPERIMENT.yaml",
		Short: "fine-tune a marker's model on image pairs",
		Long: `Trains what an experiment's file says. The built-in experiments (` + strings.Join(experiments.Names(), ", ") + `) can be named without a file.

  histdist data check MIST/ER
  histdist train experiments/er.yaml --set data.dir=MIST/ER --dry-run
  histdist train experiments/er.yaml --set data.dir=MIST/ER
  histdist train experiments/er.yaml --set data.dir=MIST/ER --resume latest

Ctrl-C or SIGTERM ends the run within a step, saves it, and is no failure. A run that was stopped in whatever way goes on from its last
checkpoint with --resume, and ends with the same bytes as a run that was never stopped.

Keys can be set by --set section.key=value, or in the environment: HISTDIST_TRAIN_LR=1e-4. 'histdist config print --experiment FILE'
lists them all.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if on != "" {
				set = append(set, "run.device="+on)
			}
			c, values, err := experiments.Load(args[0], set)
			if err != nil {
				return err
			}
			if dryRun {
				return plan(cmd, c, values)
			}
			r := train.Resume{Allowed: resume != "", FallBack: fallBack, AcceptChanges: override}
			if resume != "" && resume != latest {
				r.From = resume
			}
			return trainRun(cmd, c, values, r)
		},
	}
	f := command.Flags()
	f.StringArrayVar(&set, "set", nil, "KEY=VALUE over the file's, such as train.lr=1e-4; may be given again")
	f.StringVar(&on, "devices", "", "short for --set run.device=…: "+devices.Usage()+"; several, such as cuda:0,cuda:1, share the work of a step")
	f.StringVar(&resume, "resume", "", "go on from a checkpoint: latest, or the checkpoint's folder; latest begins anew where there is none")
	f.BoolVar(&override, "override", false, "with --resume: go on under a changed configuration")
	f.BoolVar(&fallBack, "fall-back", false, "with --resume latest: go on from the checkpoint before if the latest is damaged")
	f.BoolVar(&dryRun, "dry-run", false, "print the configuration and what the run would take; train nothing")
	return command
}

// plan prints what a run would take.
func plan(cmd *cobra.Command, c configs.Experiment, values []configs.Value) (err error) {
	text, err := configs.YAML(values, true)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text); err != nil {
		return err
	}
	e, err := experiments.Open(cmd.Context(), c, values)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	notes(cmd, e)
	p, err := e.Plan(cmd.Context())
	if err != nil {
		return err
	}
	return p.WriteText(cmd.OutOrStdout(), c)
}

func trainRun(cmd *cobra.Command, c configs.Experiment, values []configs.Value, resume train.Resume) (err error) {
	e, err := experiments.Open(cmd.Context(), c, values)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	notes(cmd, e)
	r, err := e.Run(cmd.Context(), experiments.RunOptions{Resume: resume, Version: version, Hooks: trainLines(cmd, c)})
	if n, files := e.Skipped(); n > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "skipped %d pairs that could not be read, such as %s\n", n, files[0])
	}
	if errors.Is(err, train.ErrStopped) {
		fmt.Fprintf(cmd.ErrOrStderr(), "stopped behind step %d of %d and saved in %s; go on with --resume latest\n", r.Step, c.Train.MaxSteps, r.Checkpoint)
		return nil
	}
	switch {
	case errors.Is(err, train.ErrExists):
		return fmt.Errorf("%w: --resume latest, or --set run.output=FOLDER", err)
	case errors.Is(err, train.ErrChanged):
		return fmt.Errorf("%w\n--override goes on nevertheless", err)
	case errors.Is(err, train.ErrDamaged):
		return fmt.Errorf("%w\n--fall-back goes on from the checkpoint before", err)
	case err != nil:
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "done: step %d, %s; 'histdist export %s --out MODEL' makes a model of it\n", r.Step, r.Checkpoint, c.Run.Output)
	return nil
}

func notes(cmd *cobra.Command, e *experiments.Experiment) {
	for _, n := range e.Notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: "+n)
	}
}

// trainLines tell of a run, a line an event.
func trainLines(cmd *cobra.Command, c configs.Experiment) train.Hooks {
	w := cmd.ErrOrStderr()
	return train.Hooks{
		Start: func(_ context.Context, step int) error {
			if step > 0 {
				fmt.Fprintf(w, "going on behind step %d of %d\n", step, c.Train.MaxSteps)
			}
			return nil
		},
		Step: func(_ context.Context, m train.Metrics) error {
			fmt.Fprintln(w, m)
			return nil
		},
		Skip: func(_ context.Context, step int, reason error) error {
			fmt.Fprintf(w, "step %d is left out: %v\n", step, reason)
			return nil
		},
		Validated: func(_ context.Context, step int, scores []train.Scalar) error {
			fmt.Fprintf(w, "step %d", step)
			for _, s := range scores {
				fmt.Fprintf(w, "  %s %.4f", s.Name, s.Value)
			}
			fmt.Fprintln(w)
			return nil
		},
		Checkpoint: func(_ context.Context, path string) error {
			fmt.Fprintln(w, "saved "+filepath.Clean(path))
			return nil
		},
		Unsaved: func(_ context.Context, reason error) error {
			fmt.Fprintf(w, "a checkpoint could not be written, the run goes on without: %v\n", reason)
			return nil
		},
	}
}
