package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/experiments/doctor"
)

func doctorCommand() *cobra.Command {
	var quick, asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "show what this machine and this build can run",
		Long: `Shows what this machine and this build can run: the version of Go, the system, whether the C kernels are
built in, the processor's vector instructions, cores, memory, the devices, whether Phikon is in Hugging Face's cache,
which OpenSlide reads slides, which variables of the environment are set, and, from a measurement of a second, how long
an image takes.

Add the output of "histdist doctor --json" when you report a problem. It has the names of variables and not their
values, no paths but the system's, and no names of users, machines or models.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			report := doctor.Collect(version)
			if !quick {
				if report.Speed, err = doctor.Measure(cmd.Context()); err != nil {
					return err
				}
			}
			text := []byte(report.String())
			if asJSON {
				if text, err = report.JSON(); err != nil {
					return err
				}
				text = append(text, '\n')
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s", text)
			return err
		},
	}
	c.Flags().BoolVar(&quick, "quick", false, "skip the measurement")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON without private paths, for a report of a problem")
	return c
}
