package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/device/catalog"
)

func exportCommand() *cobra.Command {
	var o experiments.ExportOptions
	var w weightFlags
	var out string
	var mib int64
	command := &cobra.Command{
		Use:   "export RUN|CHECKPOINT --output FOLDER",
		Short: "make a model's folder from a training run",
		Long: `Writes the model of a checkpoint, or of a run's latest one, in diffusers' layout: the run's U-Net with the
other networks of the model that the run started from. 'histdist translate --model FOLDER' and diffusers load it.

  histdist export runs/er --output models/er --dtype float16

A run with train.adapter gives a folder with pytorch_lora_weights.safetensors alone, which 'histdist translate
--adapter' and diffusers' load_lora_weights take; with --merge it gives a model's folder like any other.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if out == "" {
				return fmt.Errorf("--output is missing")
			}
			if o.DType, o.MaxShardBytes, err = w.read(); err != nil {
				return err
			}
			if mib > 0 {
				note(cmd)("--max-shard-mib is now --max-shard-mb, in 10⁶ bytes")
				o.MaxShardBytes = mib << 20
			}
			if o.Device, err = catalog.Open("auto", 0); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, o.Device.Close()) }()
			o.Checkpoint = args[0]
			if err := experiments.Export(cmd.Context(), out, o); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", out)
			return err
		},
	}
	f := command.Flags()
	f.StringVar(&out, "output", "", "folder to write; it must not exist")
	f.BoolVar(&o.EMA, "ema", false, "export the moving average of the parameters")
	f.BoolVar(&o.Merge, "merge", false, "add a run's adapter to the weights of its base, and write the whole model")
	w.add(command)
	f.Int64Var(&mib, "max-shard-mib", 0, "")
	_ = f.MarkHidden("max-shard-mib") // fails for unknown flags only
	f.StringVar(&o.Base, "base", "", "folder or id of the model to take the other networks from (default: the run's)")
	return command
}
