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
	"github.com/histdist/histdist/graph/device/devices"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/infer"
)

func translateCommand() *cobra.Command {
	c := configs.DefaultTranslate()
	var file string
	command := &cobra.Command{
		Use:   "translate --model FOLDER --input IMAGE --output IMAGE",
		Short: "make virtual IHC stains of H&E images",
		Long: `Reads H&E images and writes what the IHC stain of the model's marker may look like. For research only: no diagnosis.

  histdist translate --model models/er --input slide.png --output slide-er.png
  histdist translate --model models/er --input slides --output slides-er --panel

A folder is searched with its sub-folders, and names are kept. What is done already is skipped, so that a run that was
interrupted goes on when it is started again. An image that can't be read does not end the others.

All options can stand in a YAML file (--config) under translate:, or in the environment: HISTDIST_TRANSLATE_SEED=7.
The defaults are the paper's.

Exit codes: 0 all done, 1 something failed (it is listed), 2 wrong command line.`,
		Args: cobra.NoArgs,
	}
	flags := configs.AddFlags(command.Flags(), &c, "translate")
	command.Flags().StringVar(&file, "config", "", "YAML file with options")
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := configs.LoadTranslate(&c, file, flags); err != nil {
			return err
		}
		return translate(cmd, c.Translate)
	}
	return command
}

// translate runs the command with its options.
func translate(cmd *cobra.Command, c configs.Translate) (err error) {
	if err := c.Validate(); err != nil {
		return err
	}
	jobs, err := infer.Plan(c.Input, c.Output, "."+c.Format, c.Reference)
	if err != nil {
		return err
	}
	precision, err := vm.ParsePrecision(c.Precision)
	if err != nil {
		return fmt.Errorf("--precision: %w", err)
	}
	folder, err := demo.Find(c.Model)
	if err != nil {
		return err
	}
	m, err := model.Open(folder, model.Options{Phikon: c.Phikon, Variant: c.Variant, Prediction: c.PredictionType})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	fingerprint, err := m.Fingerprint()
	if err != nil {
		return err
	}
	d, err := devices.Open(c.Device, c.Threads)
	if err != nil {
		return fmt.Errorf("--device: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	p := infer.New(m, infer.Options{Device: d, Precision: precision, LowMemory: c.LowMemory})
	defer func() { err = errors.Join(err, p.Close()) }()

	settings, notes, err := p.Resolve(c.Settings())
	if err != nil {
		return err
	}
	printNotes(cmd, notes)
	o := infer.RunOptions{
		Settings: settings, Batch: c.Batch, Overwrite: c.Overwrite, Panel: c.Panel, Quality: c.Quality,
		Report: reporter(cmd.ErrOrStderr()),
		Provenance: []imagefile.Pair{
			{Key: imagefile.KeyDescription, Value: "virtual stain, research use only"},
			{Key: imagefile.KeySoftware, Value: "histdist " + version},
			{Key: infer.ModelKey, Value: fingerprint},
			{Key: infer.PrecisionKey, Value: c.Precision},
		},
	}
	if len(notes) > 0 {
		o.Provenance = append(o.Provenance, imagefile.Pair{Key: infer.NotesKey, Value: strings.Join(notes, "; ")})
	}
	var recorder *infer.Recorder
	if c.SaveLatents != "" {
		if len(jobs) != 1 {
			return fmt.Errorf("--save-latents: %d inputs: want one", len(jobs))
		}
		recorder = infer.NewRecorder()
		o.Latents = recorder.Record
	}
	summary, err := p.Run(cmd.Context(), jobs, o)
	if recorder != nil && err == nil && summary.Done == 1 {
		err = recorder.Save(c.SaveLatents)
	}
	if c.JSON {
		err = errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(summary))
	}
	if err != nil {
		return err
	}
	for _, f := range summary.Failed {
		fmt.Fprintf(cmd.ErrOrStderr(), "failed: %s: %s\n", f.Input, f.Error)
	}
	if n := len(summary.Failed); n > 0 {
		return fmt.Errorf("%d of %d images failed", n, len(jobs))
	}
	return nil
}

// printNotes prints what a user should know before a run.
func printNotes(cmd *cobra.Command, notes []string) {
	for _, n := range notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: "+n)
	}
}

// reporter shows bars on a terminal and writes log lines elsewhere.
func reporter(w io.Writer) infer.Reporter {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return newBars(w)
	}
	return &lines{log: slog.New(slog.NewTextHandler(w, nil))}
}
