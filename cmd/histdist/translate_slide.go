package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/data/slide"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/infer/mosaic"
)

// isSlide reports whether the options name one slide, or an output that is one.
func (o translateOptions) isSlide() bool { return slide.Named(o.Input) || mosaic.IsOutput(o.Output) }

// isSlides reports whether the options name a folder of slides.
func (o translateOptions) isSlides() bool { return !o.isSlide() && o.Format == slidesFormat }

// slidesFormat is the format of a folder of slides.
const slidesFormat = "ome.tiff"

// slideOptions are the options of slides.
func (o translateOptions) slideOptions(cmd *cobra.Command, match infer.Colours) mosaic.FileOptions {
	return mosaic.FileOptions{
		Input: o.Input, Output: o.Output, Sampling: o.Settings, Settings: o.Mosaic, File: o.FileSettings,
		Read: imagefile.Options{ICC: o.ICC}, Match: match, Batch: o.Batch, Quality: o.Quality, Preview: o.Preview,
		Overwrite: o.Overwrite, Shard: o.shard(), Program: "histdist " + version, Observe: observer(cmd.ErrOrStderr()),
	}
}

// translateSlide translates one slide, or an image to a slide, to each marker.
func translateSlide(cmd *cobra.Command, c translateOptions, p opened, match infer.Colours) error {
	each := c.slideOptions(cmd, match).ByMarker()
	if c.DryRun {
		if n := len(each); n > 1 {
			note(cmd)(fmt.Sprintf("this is for each of %d markers", n))
		}
		return dryRun(cmd, c, p, each[0])
	}
	for _, o := range each {
		if _, err := mosaic.TranslateFile(cmd.Context(), p.Pipeline, o); err != nil {
			return err
		}
	}
	return nil
}

// dryRun prints what a slide takes, on each device.
func dryRun(cmd *cobra.Command, c translateOptions, p opened, o mosaic.FileOptions) error {
	plan, err := mosaic.PlanFile(cmd.Context(), p.Pipeline, o)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintln(out, plan)
	if c.Shard.N > 0 {
		fmt.Fprintf(out, "shard %s: regions have no shard of their own: whoever is free does the next\n", c.Shard)
	}
	own := p.device.Name()
	names := catalog.Found()
	if !slices.Contains(names, own) {
		names = append(names, own)
	}
	for _, name := range names {
		speed, err := measure(cmd, c, p, o, name)
		if err != nil && cmd.Context().Err() != nil {
			return err
		}
		if err != nil {
			fmt.Fprintf(out, "time on %s: unknown: %v\n", name, err)
			continue
		}
		fmt.Fprintf(out, "time on %s: %s, measured: %s for a U-Net call, %s to encode a window, %s to decode one\n", name,
			rounded(speed.Time(plan)), rounded(speed.Call), rounded(speed.Encode), rounded(speed.Decode))
	}
	return nil
}

// measure times the networks on a device.
func measure(cmd *cobra.Command, c translateOptions, p opened, o mosaic.FileOptions, name string,
) (s mosaic.Speed, err error) {
	if name != p.device.Name() {
		if p, err = c.open(name); err != nil {
			return s, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
	}
	return mosaic.Measure(cmd.Context(), p.Pipeline, o)
}

// rounded leaves of a time what is worth reading.
func rounded(d time.Duration) time.Duration {
	switch {
	case d > time.Hour:
		return d.Round(time.Minute)
	case d > 10*time.Second:
		return d.Round(time.Second)
	case d > time.Second:
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}
