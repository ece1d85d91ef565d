package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/graph/device/hostinfo"
)

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "say what this machine and this build can run",
		Long: `Says what this machine and this build can run: the version of Go, whether C code is in, the processor's vector
instructions that the kernels use, cores, memory, and the devices. Put its output into a report of a problem.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%-14s %s\n%s", "histdist", version, hostinfo.Read())
			return err
		},
	}
}
