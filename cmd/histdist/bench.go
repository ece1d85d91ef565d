package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments/bench"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/modelbench"
	"github.com/histdist/histdist/graph/vm"
)

func benchCommand() *cobra.Command {
	var o modelbench.Options
	var device, precision, folder, variant, newModel string
	var threads, steps int
	var asJSON, profile, dump bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "time the networks at full size on this machine",
		Long: `Times Stable Diffusion 1.5's U-Net (a step on 64×64 latents, which is an image of 512 pixels), its VAE, its text encoder, and
Phikon, with made-up weights: no model is needed. Takes about a minute and 12 GB of memory, with --training 14 GB.

With --model, a folder that --new-model made or any other, it times the whole of what users run instead: the translation of an image
of 512 pixels (--steps each way), and training steps of --batch images that keep their activations (training) or compute them
again (training-sparing); --only chooses.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if newModel != "" {
				return bench.CreateModel(cmd.Context(), newModel)
			}
			if o.Precision, err = vm.ParsePrecision(precision); err != nil {
				return fmt.Errorf("--precision: %w", err)
			}
			if o.Device, err = catalog.Open(device, threads); err != nil {
				return fmt.Errorf("--device: %w", err)
			}
			defer func() { err = errors.Join(err, o.Device.Close()) }()
			if profile {
				o.Profile = func(r vm.Report) { fmt.Fprintln(cmd.OutOrStdout(), r) }
			}
			if dump {
				o.Dump = cmd.OutOrStdout()
			}
			run := func(tell func(modelbench.Result)) error { return modelbench.Run(cmd.Context(), o, tell) }
			if folder, err = demo.Find(folder); err != nil {
				return err
			}
			if folder != "" {
				run = func(tell func(modelbench.Result)) error {
					names := o.Only
					if len(names) == 0 {
						names = bench.Names()
					}
					return bench.Run(cmd.Context(), bench.Options{
						Device: o.Device, Precision: o.Precision, LowMemory: o.LowMemory, Model: folder, Variant: variant, Batch: max(1, o.Batch), Size: 512, Steps: steps, Runs: o.Runs,
						Profile: o.Profile,
					}, names, tell)
				}
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				return run(func(r modelbench.Result) { err = errors.Join(err, e.Encode(r)) })
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 10, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(w, "network\tbatch\tseconds\tGFLOP/s\tof GEMM peak\tcompile s\tarena MB\tkernels MB\tpeak resident MB\t")
			err = run(func(r modelbench.Result) {
				fmt.Fprintf(w, "%s\t%d\t%.4f\t%s\t%s\t%.2f\t%d\t%s\t%d\t\n", r.Name, r.Batch, r.Seconds, known("%.1f", r.GFLOPS), known("%.0f%%", 100*r.Share),
					r.Compile, r.Arena>>20, known("%.0f", float64(r.Kernels>>20)), r.PeakRSS>>20)
			})
			return errors.Join(err, w.Flush())
		},
	}
	c.Flags().StringVar(&device, "device", "auto", catalog.Usage())
	c.Flags().StringVar(&precision, "precision", "float32", "float32 or bfloat16")
	c.Flags().IntVar(&threads, "threads", 0, "processor threads; 0 is one for each core that may be used")
	c.Flags().BoolVar(&o.LowMemory, "low-memory", false, "use less memory, in more time")
	c.Flags().BoolVar(&o.Training, "training", false, "also a training step at 32×32 latents")
	c.Flags().IntVar(&o.Runs, "runs", 2, "runs of each; the fastest counts, with --model the median")
	c.Flags().StringSliceVar(&o.Only, "only", nil, "what to time: "+strings.Join(modelbench.Names(), ", ")+"; with --model: "+strings.Join(bench.Names(), ", "))
	c.Flags().IntVar(&o.Batch, "batch", 1, "images at once")
	c.Flags().StringVar(&folder, "model", "", "model's folder: time translation and training with it")
	c.Flags().StringVar(&variant, "variant", "", variantUsage)
	c.Flags().StringVar(&newModel, "new-model", "", "folder to write a full-size model of random weights to, for --model; nothing is timed")
	c.Flags().IntVar(&steps, "steps", 100, "with --model: steps of the inversion and of the translation, each")
	c.Flags().BoolVar(&profile, "profile", false, "print where the time goes, with the steps timed one by one: their sum is more than a step takes")
	c.Flags().BoolVar(&dump, "dump", false, "print what each pass of the compiler makes of the networks' programs: steps, values, lifetimes, places in memory")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object for each network")
	c.MarkFlagsMutuallyExclusive("dump", "model")
	c.MarkFlagsMutuallyExclusive("dump", "json")
	return c
}

// known is a number that was measured; 0 is one that wasn't.
func known(format string, v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}
