package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/device/catalog"
	"github.com/histdist/histdist/graph/weights"
)

func exportCommand() *cobra.Command {
	var o experiments.ExportOptions
	var out, dtype string
	var shard int64
	command := &cobra.Command{
		Use:   "export RUN|CHECKPOINT --output FOLDER",
		Short: "make a model's folder of a training run",
		Long: `Writes the model of a run's latest checkpoint, or of the checkpoint that is named, in diffusers' layout: the run's U-Net with the other
networks of the model that it began with. 'histdist translate --model FOLDER' and diffusers load it.

  histdist export runs/er --output models/er --ema --dtype float16`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if out == "" {
				return fmt.Errorf("--output is missing")
			}
			if o.DType, err = weights.ParseDType(dtype); err != nil {
				return fmt.Errorf("--dtype: %w", err)
			}
			if shard < 0 {
				return fmt.Errorf("--max-shard-mib is %d: want 0 or more", shard)
			}
			o.MaxShardBytes = shard << 20
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
	f.BoolVar(&o.EMA, "ema", false, "the parameters' moving average instead of the parameters")
	f.StringVar(&dtype, "dtype", "float32", "type of the weights: float32, float16 or bfloat16")
	f.Int64Var(&shard, "max-shard-mib", 0, "greatest size of one file of weights in MiB; 0 is 10 GB")
	f.StringVar(&o.Base, "base", "", "folder or id of the model whose other networks are taken (default: the run's)")
	return command
}
