package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/internal/atomicfile"
)

func demoCommand() *cobra.Command {
	var out, device, preset string
	var threads int
	c := &cobra.Command{
		Use:   "demo",
		Short: "translate a piece and a slide of synthetic tissue with the built-in model",
		Long: `Makes a piece of synthetic H&E-stained tissue, translates it to ER with the small built-in model, which was
trained on such tissue only, and shows the result next to the true stain. Then the same with a small whole slide, whose
virtual stain opens next to it in QuPath. Needs no files and downloads nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			begin := time.Now()
			d, err := openDevice(device, threads)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.Close()) }()
			o := demo.Options{
				Device: d, Preset: preset, Program: "histdist " + version, Observe: observer(cmd.ErrOrStderr()),
			}
			r, err := demo.Run(cmd.Context(), out, o)
			if err != nil {
				return err
			}
			s, err := demo.RunSlide(cmd.Context(), out, o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), `
%-32s look at this one: H&E, virtual stain, true stain
%-32s synthetic tissue in H&E
%-32s the model's ER stain of it: %.1f %% is brown
%-32s the true ER stain: %.1f %%
%-32s the type of each nucleus
%-32s the model, for histdist translate --model

%-32s a slide of such tissue, %d×%d pixels
%-32s its virtual ER stain: open both in QuPath, next to each other
%-32s its true ER stain, likewise
%-32s what each nucleus is: drag it onto a slide in QuPath
%-32s the virtual stain, small

It took %.1f s. The model is small and knows only synthetic tissue. With a model and images of your own:

  histdist translate --model FOLDER --input IMAGES --output STAINS --panel
  histdist translate --model FOLDER --input slide.svs --output slide-er.ome.tiff
  histdist train er --set data.dir=MIST/ER
`, r.Panel, r.HE, r.Virtual, 100*r.VirtualBrown, r.True, 100*r.TrueBrown, r.Nuclei, r.Model,
				s.HE, s.Plan.Width, s.Plan.Height, s.Virtual, s.True, s.Nuclei, s.Thumbnail, time.Since(begin).Seconds())
			return err
		},
	}
	c.Flags().StringVar(&out, "output", "demo", "folder to write")
	c.Flags().StringVar(&device, "device", "auto", catalog.Usage())
	c.Flags().IntVar(&threads, "threads", 0, "processor threads; 0 is one for each available core")
	c.Flags().StringVar(&preset, "preset", model.PresetFast, "paper, balanced or fast")
	c.AddCommand(demoMeasureCommand())
	return c
}

func demoMeasureCommand() *cobra.Command {
	var out, device string
	o := demo.MeasureOptions{Software: "histdist " + version}
	c := &cobra.Command{
		Use:   "measure",
		Short: "measure the quality of the built-in model on unseen tissue",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Device, err = openDevice(device, 0); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.Device.Close()) }()
			o.Observe = observer(cmd.ErrOrStderr())
			rows, err := demo.Measure(cmd.Context(), out, o)
			if err != nil {
				return err
			}
			var table strings.Builder
			if err := demo.WriteTable(&table, rows); err != nil {
				return err
			}
			if err := atomicfile.Write(filepath.Join(out, "table.txt"), []byte(table.String())); err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), table.String())
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&out, "output", "demo-eval", "folder to write")
	f.StringVar(&device, "device", "auto", catalog.Usage())
	f.IntVar(&o.Pieces, "pieces", 200, "pieces of tissue, each of a different patient")
	f.IntVar(&o.Ablation, "ablation", 50, "how many of them to also translate without parts of the method")
	f.StringVar(&o.Preset, "preset", "", "paper, balanced or fast (default: the paper's with fewer steps)")
	f.IntVar(&o.Steps, "steps", demo.Steps, "steps of the inversion and of the translation, each")
	c.MarkFlagsMutuallyExclusive("preset", "steps")
	return c
}
