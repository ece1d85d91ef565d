package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/graph/device/devices"
)

func demoCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "demo",
		Short: "translate a piece of synthetic tissue with the model in the binary",
		Long: `Makes synthetic H&E-stained tissue, translates it to ER with a small model that is in the binary and was trained on such tissue
alone, and puts the true stain beside it. Needs nothing and downloads nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			begin := time.Now()
			d, err := devices.Open("auto", 0)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, d.Close()) }()
			r, err := experiments.Demo(cmd.Context(), out, d, reporter(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			for i, what := range []string{"synthetic H&E", "virtual ER stain", "true ER stain", "all three side by side", "what each nucleus is"} {
				fmt.Fprintf(w, "%-26s %s\n", r.Files[i], what)
			}
			fmt.Fprintf(w, `
%.1f %% of the virtual stain is brown, of the true one %.1f %%. It took %.1f s.
The model is small and knows synthetic tissue alone: docs/demo.md. With your own model and images:

  histdist translate --model FOLDER --input IMAGES --output STAINS --panel
  histdist train er --set data.dir=MIST/ER
`, 100*r.Virtual, 100*r.True, time.Since(begin).Seconds())
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "demo", "folder to write")
	return c
}
