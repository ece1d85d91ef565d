package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
)

func translateCommand() *cobra.Command {
	c := defaultTranslate()
	var file string
	command := &cobra.Command{
		Use:   "translate --model FOLDER --input IMAGE --output IMAGE",
		Short: "make virtual IHC stains of H&E images",
		Long: `Translates H&E images to virtual IHC stains of the model's marker. For research only: not for diagnosis.

  histdist translate --model models/er --input slide.png --output slide-er.png
  histdist translate --model models/er --input slides --output slides-er --panel
  histdist translate --model models/er --input slide.svs --output slide-er.ome.tiff
  histdist translate --model models/er --input slides --output slides-er --format ome.tiff

A folder is searched with its sub-folders and symbolic links; outputs keep the names. Hidden files, and stains and
panels made by this program, are ignored. Existing outputs are skipped, so an interrupted run continues when it is
started again. An output is replaced if its image has changed or another version of the program made it; if it was made
with another model or other settings, that needs --overwrite. Images and folders that can't be read don't stop the
others.

A whole slide is translated region by region in bounded memory, without seams, and written as an OME-TIFF of its size;
--dry-run says what that takes, and --preview makes a smaller one first. An interrupted run goes on when it is started
again with the same options. An image that doesn't fit into memory is translated in the same way.

With --shard several processes, as of a job array, share the work: see histdist status. --dry-run says which part of a
folder a shard begins with.

Options can also be given in a YAML file (--config), under translate:, or in the environment:
HISTDIST_TRANSLATE_SEED=7. The defaults are the paper's; --preset balanced takes a tenth of the calls.

Exit codes: 0 all done, 1 something failed (listed at the end), 2 wrong command line.`,
		Args: cobra.NoArgs,
	}
	flags := configs.AddFlags(command.Flags(), &c, "translate")
	command.Flags().StringVar(&file, "config", "", "YAML file with options")
	var pull pullFlag
	pull.add(command)
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		values, err := load(cmd, &c, file, flags)
		if err != nil {
			return err
		}
		if err := c.Translate.prepare(cmd, pull, values, translateOptions.Validate); err != nil {
			return err
		}
		return translate(cmd, c.Translate)
	}
	return command
}

// translate runs the command with its options.
func translate(cmd *cobra.Command, c translateOptions) (err error) {
	var jobs *infer.Jobs
	if !c.isSlide() {
		if jobs, err = infer.FindJobs(cmd.Context(), infer.JobOptions{
			Input: c.Input, Output: c.Output, Ending: "." + c.Format, Reference: c.Reference, Panel: c.Panel,
			Slides: c.isSlides(), Samples: c.Samples,
			Markers: c.Marker,
		}); err != nil {
			return err
		}
		if c.SaveLatents != "" && len(jobs.List) != 1 {
			return fmt.Errorf("--save-latents: %d inputs: want one", len(jobs.List))
		}
	}
	if c.DryRun && !c.isSlide() {
		text, err := jobs.Outlook(cmd.Context(), c.shard())
		if err != nil {
			return err
		}
		_, err = io.WriteString(cmd.OutOrStdout(), text)
		return err
	}
	match, err := c.match(cmd)
	if err != nil {
		return err
	}
	var calibration infer.Calibration
	if c.Calibration != "" {
		if calibration, err = evaluate.AreaErrors(c.Calibration); err != nil {
			return fmt.Errorf("--calibration: %w", err)
		}
	}
	p, err := c.open(c.Device)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if c.isSlide() {
		return translateSlide(cmd, c, p, match)
	}
	var summary infer.Summary
	if c.isSlides() {
		summary, err = mosaic.TranslateFiles(cmd.Context(), p.Pipeline, jobs, c.Preset, c.slideOptions(cmd, match))
		return summarised(cmd, c, summary, err)
	}
	summary, err = p.TranslateFiles(cmd.Context(), jobs, infer.FileOptions{
		Settings: c.Settings, Preset: c.Preset, Read: imagefile.Options{ICC: c.ICC}, Batch: c.Batch, Overwrite: c.Overwrite,
		Match: match, Samples: c.Samples, Calibration: calibration, Panel: c.Panel,
		Quality: cmp.Or(c.Quality, imageQuality), Latents: c.SaveLatents, Program: "histdist " + version, Shard: c.shard(),
		Large: func(ctx context.Context, m *imagefile.Image, s infer.Settings) (*imagefile.Image, error) {
			return mosaic.Image(ctx, p.Pipeline, m, s, c.Mosaic)
		},
		Observe: observer(cmd.ErrOrStderr()),
	})
	return summarised(cmd, c, summary, err)
}

// summarised prints how a run over files ended.
func summarised(cmd *cobra.Command, c translateOptions, summary infer.Summary, err error) error {
	if c.JSON {
		err = errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(summary))
	}
	if err != nil {
		return err
	}
	for _, f := range summary.Failed {
		fmt.Fprintf(cmd.ErrOrStderr(), "failed: %s: %s\n", f.Input, f.Error)
	}
	return summary.Err()
}

// opened is a model on a device.
type opened struct {
	*infer.Pipeline
	device device.Device
}

// open opens the model on a device.
func (o translateOptions) open(name string) (opened, error) {
	folder, err := demo.Find(o.Model)
	if err != nil {
		return opened{}, err
	}
	d, err := openDevice(name, o.Threads)
	if err != nil {
		return opened{}, err
	}
	p, err := infer.Open(folder, o.model(),
		infer.Options{Device: d, Precision: o.precision(), LowMemory: o.LowMemory})
	if err != nil {
		return opened{}, errors.Join(err, d.Close())
	}
	return opened{p, d}, nil
}

// Close closes both.
func (o opened) Close() error { return errors.Join(o.Pipeline.Close(), o.device.Close()) }
