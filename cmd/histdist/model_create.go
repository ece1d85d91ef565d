package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/graph/model"
	"github.com/histdist/histdist/graph/weights"
)

func createCommand() *cobra.Command {
	var like, out, dtype string
	var o model.CreateOptions
	c := &cobra.Command{
		Use:   "create --like FOLDER --output NEW-FOLDER",
		Short: "make an untrained model",
		Long: `Makes a model's folder with random initial weights, to train from nothing. --like is a folder with a
config.json in unet, vae, text_encoder and phikon, which describe the networks; a model's folder will do, its weights
are not read. Tokenizer, scheduler and preprocessing are copied if present; otherwise the simplest that fit are made.
The same seed gives the same bytes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if like == "" || out == "" {
				return errors.New("--like and --output are needed")
			}
			t, err := weights.ParseDType(dtype)
			if err != nil {
				return fmt.Errorf("--dtype: %w", err)
			}
			o.DType = t
			return model.Create(cmd.Context(), like, out, o)
		},
	}
	f := c.Flags()
	f.StringVar(&like, "like", "", "folder with the configurations of the networks")
	f.StringVar(&out, "output", "", "folder to write")
	f.StringVar(&dtype, "dtype", "float32", "type of the weights: float32, float16 or bfloat16")
	f.Int64Var(&o.Seed, "seed", 0, "of the weights")
	return c
}
