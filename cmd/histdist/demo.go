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
	"github.com/histdist/histdist/internal/atomicfile"
)

func demoCommand() *cobra.Command {
	var out, device string
	var threads int
	c := &cobra.Command{
		Use:   "demo",
		Short: "translate a piece of synthetic tissue with the model in the binary",
		Long: `Makes a piece of synthetic H&E-stained tissue, translates it to ER with a small model that is in the binary and was trained on such
tissue alone, and puts the true stain beside it. Needs nothing and downloads nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			begin := time.Now()
			d, err := catalog.Open(device, threads)
			if err != nil {
				return fmt.Errorf("--device: %w", err)
			}
			defer func() { err = errors.Join(err, d.Close()) }()
			r, err := demo.Run(cmd.Context(), out, demo.Options{Device: d, Observe: observer(cmd.ErrOrStderr())})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), `
%-28s H&E, virtual stain, true stain: look at this one
%-28s synthetic tissue in H&E
%-28s the same in ER, as the model thinks: %.1f %% of it is brown
%-28s the same in ER, as the tissue was made: %.1f %%
%-28s what each nucleus is
%-28s the model, for histdist translate --model

It took %.1f s. The model is small and knows synthetic tissue alone. With a model and images of your own:

  histdist translate --model FOLDER --input IMAGES --output STAINS --panel
  histdist train er --set data.dir=MIST/ER
`, r.Panel, r.HE, r.Virtual, 100*r.VirtualBrown, r.True, 100*r.TrueBrown, r.Nuclei, r.Model, time.Since(begin).Seconds())
			return err
		},
	}
	c.Flags().StringVar(&out, "output", "demo", "folder to write")
	c.Flags().StringVar(&device, "device", "auto", catalog.Usage())
	c.Flags().IntVar(&threads, "threads", 0, "processor threads; 0 is one for each core that may be used")
	c.AddCommand(demoMeasureCommand())
	return c
}

func demoMeasureCommand() *cobra.Command {
	var out, device string
	o := demo.MeasureOptions{Software: "histdist " + version}
	c := &cobra.Command{
		Use:   "measure",
		Short: "measure how good the model in the binary is on tissue that it has not seen",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Device, err = catalog.Open(device, 0); err != nil {
				return fmt.Errorf("--device: %w", err)
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
	f.IntVar(&o.Pieces, "pieces", 200, "pieces of tissue, each of another patient")
	f.IntVar(&o.Ablation, "ablation", 50, "of these, for the model without parts of the method; 0 is none")
	f.IntVar(&o.Steps, "steps", demo.Steps, "of inversion and translation each")
	return c
}
