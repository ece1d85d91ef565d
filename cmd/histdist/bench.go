package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments/bench"
	"github.com/histdist/histdist/experiments/demo"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/progress"
	"github.com/histdist/histdist/graph/vm"
)

func benchCommand() *cobra.Command {
	o := bench.Options{Size: 512}
	var device, precision, newModel string
	var threads int
	var asJSON, profile, dump bool
	var pull pullFlag
	c := &cobra.Command{
		Use:   "bench",
		Short: "time the networks at full size on this machine",
		Long: `Times Stable Diffusion 1.5's U-Net (a step on 64×64 latents, an image of 512 pixels), its VAE, its text encoder
and Phikon, with made-up weights: no model is needed. Takes about a minute and 12 GB of memory, with --training 14 GB.

With --model, a folder that --new-model made or any other, it times what users run instead: the translation of an image
of 512 pixels (--steps each way), and training steps of --batch images that keep their activations (training) or
recompute them (training-sparing). --only chooses; unet-kernels and the like are the layers of a network one by one,
with --training backward too.

HISTDIST_TORCH_PYTHON names a Python with torch, diffusers and transformers to compare with; run it in the repository.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			out := cmd.OutOrStdout()
			if newModel != "" {
				return bench.CreateModel(cmd.Context(), newModel)
			}
			if err = o.Precision.UnmarshalText([]byte(precision)); err != nil {
				return fmt.Errorf("--precision: %w", err)
			}
			if o.Model, err = demo.Find(o.Model); err != nil {
				return err
			}
			if err := pull.missing(cmd, o.Model, model.Options{Variant: o.Variant}); err != nil {
				return err
			}
			if o.Device, err = openDevice(device, threads); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.Device.Close()) }()
			o.Torch = os.Getenv("HISTDIST_TORCH_PYTHON")
			if profile {
				o.Profile = func(r vm.Report) { fmt.Fprintln(out, r) }
			}
			if dump {
				o.Dump = out
			}
			if asJSON {
				e := json.NewEncoder(out)
				return bench.Run(cmd.Context(), o, func(event any) error { return e.Encode(event) })
			}
			w := tabwriter.NewWriter(out, 10, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(w, "network\tbatch\tseconds\tGFLOP/s\tof GEMM peak\tcompile s\tarena MB\tkernels MB\t"+
				"peak resident MB\tPyTorch s\tratio\talgorithm\t")
			err = bench.Run(cmd.Context(), o, progress.On(func(r bench.Result) error {
				name := r.Name
				if r.Count > 0 {
					name = fmt.Sprintf("%d × %s", r.Count, name)
				}
				fmt.Fprintf(w, "%s\t%d\t%.4f\t%s\t%s\t%.2f\t%d\t%s\t%d\t%s\t%s\t%s\t\n", name, r.Batch, r.Seconds,
					known("%.1f", r.GFLOPS), known("%.0f%%", 100*r.Share), r.Compile, r.Arena>>20,
					known("%.0f", float64(r.Packed>>20)), r.PeakRSS>>20,
					known("%.4f", r.Torch), known("%.2f×", r.Torch/r.Seconds), r.Algorithm)
				return nil
			}))
			return errors.Join(err, w.Flush())
		},
	}
	f := c.Flags()
	f.StringVar(&device, "device", "auto", catalog.Usage())
	f.StringVar(&precision, "precision", "float32", "float32 or bfloat16")
	f.IntVar(&threads, "threads", 0, "processor threads; 0 is one for each core that may be used")
	f.BoolVar(&o.LowMemory, "low-memory", false, "use less memory, in more time")
	f.BoolVar(&o.Training, "training", false, "also a training step at 32×32 latents, and backward passes of kernels")
	f.IntVar(&o.Runs, "runs", 2, "runs of each; the fastest counts, with --model the median")
	f.StringSliceVar(&o.Only, "only", nil, strings.Join(bench.Names(), ", ")+"; the last three need --model")
	f.IntVar(&o.Batch, "batch", 1, "images at once")
	f.StringVar(&o.Model, "model", "", "model's folder: time translation and training with it")
	pull.add(c)
	f.StringVar(&o.Variant, "variant", "", variantUsage)
	f.StringVar(&newModel, "new-model", "", "folder to write a full-size model of random weights to, for --model")
	f.IntVar(&o.Steps, "steps", 100, "with --model: steps of the inversion and of the translation, each")
	f.BoolVar(&profile, "profile", false, "print where the time goes, the steps timed one by one: longer than a run")
	f.BoolVar(&dump, "dump", false, "print programs after each pass of the compiler: steps, values, lifetimes, memory")
	f.BoolVar(&asJSON, "json", false, "print a JSON object for each network")
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
