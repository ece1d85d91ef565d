package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/experiments/tune"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/vm"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/stain/nuclei"
)

func tuneCommand() *cobra.Command {
	var mo model.Options
	var precision vm.Precision
	var device, dtype, weights, marker string
	var threads int
	var keep, asJSON bool
	var pull pullFlag
	o := tune.Options{
		Files:      infer.FileOptions{Settings: infer.DefaultSettings(), Program: "histdist " + version},
		Evaluation: evaluate.DefaultSettings(), PatientPattern: evaluate.SlidePattern,
	}
	c := &cobra.Command{
		Use:   "tune FOLDER|MODEL --he FOLDER",
		Short: "measure how few steps a model needs on your images",
		Long: `Translates some of your H&E images with the paper's sampler and with samplers of fewer steps, and measures how
far their stains are from the paper's: SSIM, PSNR, DAB, nuclei, sharpness and, with Inception's weights, KID. The
paper's sampler runs twice, with two seeds: a sampler is good enough if its stains are not farther from the first run's
than those of the second. The cheapest such sampler is recommended; with --write it becomes the model's preset balanced,
in its histdist.json. With --real the stains are also compared with the true ones.

  histdist model tune models/er --he slides --write
  histdist translate --model models/er --preset balanced --input slides --output slides-er

The output folder gets tune.json, curves.svg and curves.png, and keeps the stains. An interrupted run continues when it
is started again. It takes about three times as long as the paper's sampler does on the images.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.HE == "" {
				return missing("he")
			}
			if err := precision.UnmarshalText([]byte(dtype)); err != nil {
				return fmt.Errorf("--precision: %w", err)
			}
			if err := pull.missing(cmd, args[0], mo); err != nil {
				return err
			}
			folder, err := findModel(args[0])
			if err != nil {
				return err
			}
			if keep {
				if err := model.CanKeep(filepath.Clean(args[0]), filepath.Clean(folder)); err != nil {
					return fmt.Errorf("--write: %w", err)
				}
			}
			purpose, err := model.ReadPurpose(folder)
			if err != nil {
				return err
			}
			if marker != "" {
				o.Files.Settings.Marker = infer.Markers{marker}
			}
			o.Evaluation.NucleiSignal = nuclei.SignalOf(cmp.Or(marker, purpose.Marker))
			if purpose.MPP != 0 && !cmd.Flags().Changed("mpp") {
				o.Evaluation.MPP = purpose.MPP
			}
			if err := o.Evaluation.Validate(); err != nil {
				return fmt.Errorf("--%w", err)
			}
			d, err := openDevice(device, threads)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.Close()) }()
			if o.Pipeline, err = infer.Open(folder, mo, infer.Options{Device: d, Precision: precision}); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.Pipeline.Close()) }()
			o.Networks = slices.DeleteFunc(evaluate.Networks(nil, weights, features.Options{Device: d}),
				func(n evaluate.Network) bool { return n.Kind != features.Inception })
			o.Files.Observe, o.Workers = observer(cmd.ErrOrStderr()), threads
			r, err := tune.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if asJSON {
				return errors.Join(json.NewEncoder(cmd.OutOrStdout()).Encode(r), keepBest(cmd, r, folder, keep))
			}
			return errors.Join(r.WriteText(cmd.OutOrStdout()), keepBest(cmd, r, folder, keep))
		},
	}
	f := c.Flags()
	f.StringVar(&o.HE, "he", "", "folder of H&E images")
	f.StringVar(&o.Real, "real", "", "folder of their true stains, with the same names")
	f.StringVar(&marker, "marker", "", "of a model of several markers, the one to translate to")
	f.StringVar(&o.Output, "output", "tune", "folder for the results and what a later run can reuse")
	f.IntVar(&o.Images, "images", 24, "how many of the images to use, evenly spaced by name; 0 is all")
	f.BoolVar(&keep, "write", false, "make the recommended sampler the model's preset balanced")
	f.StringVar(&o.PatientPattern, "patient-pattern", o.PatientPattern,
		"regular expression that finds the patient or slide in a name: its first group")
	f.Float64Var(&o.Evaluation.MPP, "mpp", o.Evaluation.MPP, "micrometres per pixel, for nuclei, if the model doesn't say")
	f.StringVar(&weights, "weights", "", "folder with Inception's weights, for KID")
	f.StringVar(&mo.Phikon, "phikon", "", "folder or id of the vision transformer, as for translate")
	f.StringVar(&mo.Variant, "variant", "", variantUsage)
	pull.add(c)
	f.StringVar(&dtype, "precision", "float32", "float32, or bfloat16 for less memory")
	f.StringVar(&device, "device", "auto", catalog.Usage())
	f.IntVar(&threads, "threads", 0, "processor threads; 0 is one for each available core")
	f.BoolVar(&asJSON, "json", false, "print the results as JSON")
	return c
}

// keepBest says what is recommended and, if asked to, makes it the model's preset.
func keepBest(cmd *cobra.Command, r *tune.Report, folder string, keep bool) error {
	out := cmd.ErrOrStderr()
	best := r.Best()
	if best == nil {
		_, err := fmt.Fprintln(out, "no sampler of fewer steps is as good as the paper's: nothing is recommended")
		return err
	}
	then := "--write makes it the model's preset balanced"
	if keep {
		if err := model.KeepBalanced(folder, best.Sampling); err != nil {
			return err
		}
		then = "it is the model's preset balanced now: " + filepath.Join(folder, model.PurposeFile)
	}
	_, err := fmt.Fprintf(out, "recommended: %s, %d U-Net calls instead of %d; %s\n",
		best.Name, best.Calls, r.Rows[0].Calls, then)
	return err
}
