package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/data/imagefile"
	"github.com/histdist/histdist/experiments/evaluate"
	"github.com/histdist/histdist/experiments/evaluate/report"
	"github.com/histdist/histdist/experiments/metrics/features"
	"github.com/histdist/histdist/graph/device"
	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/infer"
	"github.com/histdist/histdist/internal/option"
	"github.com/histdist/histdist/internal/stain/nuclei"
)

func evaluateCommand() *cobra.Command {
	c := defaultEvaluate()
	var file string
	command := &cobra.Command{
		Use:   "evaluate --real FOLDER --virtual FOLDER",
		Short: "compare virtual IHC stains with real ones",
		Long: `Compares virtual stains with real stains of the same tissue, in pairs and as sets: SSIM, PSNR, FID, KID, PHV,
molecular retrieval, and what the stain shows: DAB, positive area, nuclei, Ki67 index, H-score. The results have
confidence intervals where possible, and show what the H&E itself (--he) and real stains compared with each other would
score.

  histdist evaluate --real valB --virtual stains --he valA --output results
  histdist evaluate --real valB --he valA --model models/er --output results
  histdist evaluate --real valB --virtual other --output results-other --against results

Images are paired by their names without extensions. The output folder gets results.json, results.md, images.csv with a
row for each pair, and the page report/index.html. It also keeps what was computed: an interrupted run continues when
it is started again. Some metrics need networks with published weights; without them they are listed with where to get
the weights.

With --shard several processes, as of a job array, share the translation and the measurements, and one of them makes
the report: see histdist status.

Options can also be given in a YAML file (--config), under evaluate:, or in the environment: HISTDIST_EVALUATE_SEED=7.

Exit codes: 0 all done, 1 something failed (listed; the rest is computed), 2 wrong command line.`,
		Args: cobra.NoArgs,
	}
	flags := configs.AddFlags(command.Flags(), &c, "evaluate")
	command.Flags().StringVar(&file, "config", "", "YAML file with options")
	var pull pullFlag
	pull.add(command)
	command.RunE = func(cmd *cobra.Command, _ []string) error {
		values, err := load(cmd, &c, file, flags)
		if err != nil {
			return err
		}
		if err := configs.Locate(option.In("evaluate", c.Evaluate.Validate()), values); err != nil {
			return err
		}
		if c.Evaluate.Model != "" {
			c.Translate.Model, c.Translate.Preset = c.Evaluate.Model, cmp.Or(c.Evaluate.Preset, c.Translate.Preset)
			c.Translate.Variant = cmp.Or(c.Evaluate.Variant, c.Translate.Variant)
			if err := c.Translate.prepare(cmd, pull, values, translateOptions.validateGiven); err != nil {
				return err
			}
		}
		return runEvaluate(cmd, c, values)
	}
	return command
}

// runEvaluate runs the command with its options, whose values say what was given.
func runEvaluate(cmd *cobra.Command, c evaluateFile, values []configs.Value) (err error) {
	p, err := asModel(cmd, &c.Evaluate, given(values, "evaluate.mpp"))
	if err != nil {
		return err
	}
	c.asMarker(cmd, p, given(values, "evaluate.nuclei-signal"))
	e := c.Evaluate
	d, err := openDevice(e.Device, e.Threads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	var results *evaluate.Results
	if e.Shard.N > 0 {
		results, err = evaluateShard(cmd, c, d)
	} else {
		results, err = evaluateAll(cmd, c, d)
	}
	if err != nil {
		return err
	}
	if err := printResults(cmd.OutOrStdout(), results, e); err != nil {
		return err
	}
	if results.Failed() {
		return fmt.Errorf("%d failed (listed in %s/results.json); the rest is computed", len(results.Problems), e.Output)
	}
	return nil
}

// evaluateAll translates, if there is a model, evaluates, and writes the report.
func evaluateAll(cmd *cobra.Command, c evaluateFile, d device.Device) (*evaluate.Results, error) {
	o := c.Evaluate.options(cmd, d)
	if c.Evaluate.Model != "" {
		var err error
		if o.Problems, err = translateFirst(cmd, c, d, infer.Shard{}); err != nil {
			return nil, err
		}
	}
	results, table, err := evaluate.Run(cmd.Context(), o)
	if err != nil {
		return nil, err
	}
	return results, report.Write(cmd.Context(), o.Output, results, table)
}

// evaluateShard does the same with other processes: one of them does evaluateAll, which finds all translated and
// measured.
func evaluateShard(cmd *cobra.Command, c evaluateFile, d device.Device) (*evaluate.Results, error) {
	e := c.Evaluate
	if e.Model != "" {
		if _, err := translateFirst(cmd, c, d, e.shard()); err != nil {
			return nil, err
		}
	}
	return evaluate.Share(cmd.Context(), e.options(cmd, d), evaluate.Sharing{
		Part: e.Shard, Silence: time.Duration(e.DeadAfter),
		Assemble: func(context.Context) error {
			_, err := evaluateAll(cmd, c, d)
			return err
		},
	})
}

// options are those of package evaluate, without a translation's problems.
func (o evaluateOptions) options(cmd *cobra.Command, d device.Device) evaluate.Options {
	return evaluate.Options{
		Real: o.Real, Virtual: o.virtual(), HE: o.HE, Train: o.Train, Against: o.Against, Output: o.Output,
		PatientPattern: o.PatientPattern, Settings: o.Settings,
		Networks: evaluate.Networks(o.paths(), o.Weights, features.Options{Device: d, Batch: o.Batch}),
		Batch:    o.Batch, Workers: o.Threads, Software: "histdist " + version, Observe: observer(cmd.ErrOrStderr()),
	}
}

// asModel finds the model and takes the micrometres per pixel from its folder. It returns what the model is for.
func asModel(cmd *cobra.Command, e *evaluateOptions, measured bool) (p model.Purpose, err error) {
	if e.Model == "" {
		return p, nil
	}
	if e.Model, err = findModel(e.Model); err != nil {
		return p, err
	}
	if p, err = model.ReadPurpose(e.Model); err != nil || p.MPP == 0 || p.MPP == e.MPP {
		return p, err
	}
	if measured {
		note(cmd)(fmt.Sprintf("%g micrometres per pixel, though the model's %s says %g", e.MPP, model.PurposeFile, p.MPP))
		return p, nil
	}
	e.MPP = p.MPP
	note(cmd)(fmt.Sprintf("%g micrometres per pixel, as the model's %s says", e.MPP, model.PurposeFile))
	return p, nil
}

// asMarker translates to the marker, if the model has several, and scores what it stains: nuclei or membranes. signal
// reports whether it was given what nuclei stand out in.
func (c *evaluateFile) asMarker(cmd *cobra.Command, p model.Purpose, signal bool) {
	marker := c.Evaluate.Marker
	if len(p.Markers) > 0 {
		if marker != "" {
			c.Translate.Marker = infer.Markers{marker}
		} else if len(c.Translate.Marker) == 1 {
			marker = c.Translate.Marker[0]
		}
	}
	marker = cmp.Or(marker, p.Marker)
	if s := nuclei.SignalOf(marker); !signal && s != c.Evaluate.NucleiSignal {
		c.Evaluate.NucleiSignal = s
		note(cmd)(fmt.Sprintf("%s stains membranes: they are scored, and nuclei are found in %s", marker, s))
	}
}

// translateFirst makes the virtual images with a model.
func translateFirst(cmd *cobra.Command, c evaluateFile, d device.Device, shard infer.Shard,
) (_ []evaluate.Problem, err error) {
	t := c.Translate
	match, err := t.match(cmd)
	if err != nil {
		return nil, err
	}
	p, err := infer.Open(c.Evaluate.Model, t.model(),
		infer.Options{Device: d, Precision: t.precision(), LowMemory: t.LowMemory})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return evaluate.Translate(cmd.Context(), p, c.Evaluate.HE, c.Evaluate.virtual(), infer.FileOptions{
		Settings: t.Settings, Preset: t.Preset, Read: imagefile.Options{ICC: c.Evaluate.ICC}, Batch: t.Batch,
		Match: match, Program: "histdist " + version, Shard: shard,
		Observe: observer(cmd.ErrOrStderr()),
	})
}

// printResults prints the results in the format that was asked for.
func printResults(w io.Writer, r *evaluate.Results, e evaluateOptions) error {
	const files = "\nresults: %[1]s/results.json, results.md, images.csv\nreport:  %[1]s/report/index.html\n"
	text := []byte(r.Text() + fmt.Sprintf(files, e.Output))
	switch {
	case e.JSON:
		var err error
		if text, err = r.JSON(); err != nil {
			return err
		}
	case e.Markdown:
		text = []byte(r.Markdown())
	}
	_, err := w.Write(text)
	return err
}
