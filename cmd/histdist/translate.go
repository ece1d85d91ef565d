package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/option"
)

func translateCommand() *cobra.Command {
	c := defaultTranslate()
	var file string
	command := &cobra.Command{
		Use:   "translate --model FOLDER --input IMAGE --output IMAGE",
		Short: "make virtual IHC stains of H&E images",
		Long: `Reads H&E images and writes what the IHC stain of the model's marker may look like. For research only: no diagnosis.

  histdist translate --model models/er --input slide.png --output slide-er.png
  histdist translate --model models/er --input slides --output slides-er --panel

A folder is searched with its sub-folders, through symbolic links, and names are kept. Hidden files, and stains and panels that this
program made, are passed over. What is done already is skipped, so that a run that was interrupted goes on when it is started again; an
output whose image has changed, or that another version made, is made anew. One that was made with another model or other settings is
an error without --overwrite. An image or folder that can't be read does not end the others.

All options can stand in a YAML file (--config) under translate:, or in the environment: HISTDIST_TRANSLATE_SEED=7.
The defaults are the paper's.

Exit codes: 0 all done, 1 something failed (it is listed), 2 wrong command line.`,
		Args: cobra.NoArgs,
	}
	flags := configs.AddFlags(command.Flags(), &c, "translate")
	command.Flags().StringVar(&file, "config", "", "YAML file with options")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		values, err := load(cmd, &c, file, flags)
		if err != nil {
			return err
		}
		if err := configs.Locate(option.In("translate", c.Translate.Validate()), values); err != nil {
			return err
		}
		c.Translate.settle(values)
		return translate(cmd, c.Translate)
	}
	return command
}

// translate runs the command with its options.
func translate(cmd *cobra.Command, c translateOptions) (err error) {
	jobs, err := infer.Plan(cmd.Context(), infer.PlanOptions{
		Input: c.Input, Output: c.Output, Ending: "." + c.Format, Reference: c.Reference, Panel: c.Panel,
	})
	if err != nil {
		return err
	}
	if jobs.Own > 0 {
		note(cmd)(fmt.Sprintf("%d virtual stains and panels that this program made are among the inputs and are passed over", jobs.Own))
	}
	precision, err := vm.ParsePrecision(c.Precision)
	if err != nil {
		return fmt.Errorf("--precision: %w", err)
	}
	folder, err := demo.Find(c.Model)
	if err != nil {
		return err
	}
	m, err := model.Open(folder, model.Options{Phikon: c.Phikon, Variant: c.Variant, Prediction: c.Prediction})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	d, err := catalog.Open(c.Device, c.Threads)
	if err != nil {
		return fmt.Errorf("--device: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	p := infer.New(m, infer.Options{Device: d, Precision: precision, LowMemory: c.LowMemory})
	defer func() { err = errors.Join(err, p.Close()) }()

	_, notes, err := p.Resolve(c.Settings)
	if err != nil {
		return err
	}
	for _, n := range notes {
		note(cmd)(n)
	}
	o := infer.RunOptions{
		Settings: c.Settings, Read: imagefile.Options{ICC: c.ICC}, Batch: c.Batch, Overwrite: c.Overwrite, Panel: c.Panel, Quality: c.Quality,
		Report: reporter(cmd.ErrOrStderr()), Program: "histdist " + version,
	}
	var recorder *infer.Recorder
	if c.SaveLatents != "" {
		if len(jobs.List) != 1 {
			return fmt.Errorf("--save-latents: %d inputs: want one", len(jobs.List))
		}
		recorder = infer.NewRecorder()
		o.Latents = recorder.Record
	}
	summary, err := p.Run(cmd.Context(), jobs.List, o)
	if recorder != nil && err == nil && summary.Done == 1 {
		err = recorder.Save(c.SaveLatents)
	}
	failed := len(summary.Failed)
	summary.Failed = append(summary.Failed, jobs.Unreadable...)
	if c.JSON {
		err = errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(summary))
	}
	if err != nil {
		return err
	}
	for _, f := range summary.Failed {
		fmt.Fprintf(cmd.ErrOrStderr(), "failed: %s: %s\n", f.Input, f.Error)
	}
	var wrong []string
	if failed > 0 {
		wrong = append(wrong, fmt.Sprintf("%d of %d images failed", failed, len(jobs.List)))
	}
	if n := len(jobs.Unreadable); n > 0 {
		wrong = append(wrong, fmt.Sprintf("folders or links that could not be read: %d", n))
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// reporter shows bars on a terminal and writes log lines elsewhere.
func reporter(w io.Writer) infer.Reporter {
	if isTerminal(w) {
		return newBars(w)
	}
	return &lines{w: w, log: slog.New(slog.NewTextHandler(w, nil))}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
