package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
)

// isSlide reports whether the options name one slide, or an output that is one.
func (o translateOptions) isSlide() bool { return slide.Named(o.Input) || mosaic.IsOutput(o.Output) }

// translateSlide translates one slide, or an image to a slide.
func translateSlide(cmd *cobra.Command, c translateOptions, p *infer.Pipeline) error {
	o := mosaic.FileOptions{
		Input: c.Input, Output: c.Output, Sampling: c.Settings, Settings: c.Mosaic, File: c.FileSettings,
		Read: imagefile.Options{ICC: c.ICC}, Batch: c.Batch, Quality: c.Quality, Overwrite: c.Overwrite,
		Program: "histdist " + version, Observe: observer(cmd.ErrOrStderr()),
	}
	plan, err := mosaic.PlanFile(cmd.Context(), p, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), plan)
	if c.DryRun {
		took, err := mosaic.Measure(cmd.Context(), p, o)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "time on %s: %s, measured with %s for each call\n", c.Device,
			(took * time.Duration(plan.Calls)).Round(time.Minute), took.Round(time.Millisecond))
		return nil
	}
	_, err = mosaic.TranslateFile(cmd.Context(), p, o)
	return err
}
