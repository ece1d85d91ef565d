package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/graph/device/devices"
	"github.com/histdist/histdist/graph/modelbench"
	"github.com/histdist/histdist/graph/vm"
)

func benchCommand() *cobra.Command {
	var o modelbench.Options
	var device, precision string
	var threads int
	var asJSON bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "time the networks at full size on this machine",
		Long: `Times Stable Diffusion 1.5's U-Net (a step on 64×64 latents, which is an image of 512 pixels), its VAE, its text encoder, and
Phikon, with made-up weights: no model is needed. Takes about a minute and 12 GB of memory, with --training 14 GB.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Precision, err = vm.ParsePrecision(precision); err != nil {
				return fmt.Errorf("--precision: %w", err)
			}
			if o.Device, err = devices.Open(device, threads); err != nil {
				return fmt.Errorf("--device: %w", err)
			}
			defer func() { err = errors.Join(err, o.Device.Close()) }()
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				return modelbench.Run(cmd.Context(), o, func(r modelbench.Result) { err = errors.Join(err, e.Encode(r)) })
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 10, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(w, "network\tseconds\tGFLOP/s\tof GEMM peak\tcompile s\tarena MB\tkernels MB\tpeak resident MB\t")
			err = modelbench.Run(cmd.Context(), o, func(r modelbench.Result) {
				fmt.Fprintf(w, "%s\t%.3f\t%.1f\t%.0f%%\t%.2f\t%d\t%d\t%d\t\n", r.Name, r.Seconds, r.GFLOPS, 100*r.Share, r.Compile, r.Arena>>20, r.Kernels>>20, r.PeakRSS>>20)
			})
			return errors.Join(err, w.Flush())
		},
	}
	c.Flags().StringVar(&device, "device", "auto", devices.Usage())
	c.Flags().StringVar(&precision, "precision", "float32", "float32 or bfloat16")
	c.Flags().IntVar(&threads, "threads", 0, "processor threads; 0 is all")
	c.Flags().BoolVar(&o.LowMemory, "low-memory", false, "use less memory, in more time")
	c.Flags().BoolVar(&o.Training, "training", false, "also a training step at 32×32 latents")
	c.Flags().IntVar(&o.Runs, "runs", 2, "runs of each network; the fastest counts")
	c.Flags().StringSliceVar(&o.Only, "only", nil, "names of the networks to time")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object for each network")
	return c
}
