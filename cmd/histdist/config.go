package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/configs"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "look at options", Args: cobra.NoArgs}
	c.AddCommand(configPrintCommand())
	return c
}

func configPrintCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "print",
		Short: "print all options with where each value comes from",
		Long:  "Prints the options of translate as a file, the environment and the defaults give them, and where each value comes from.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := configs.DefaultTranslate()
			files, err := configs.ReadFile(file)
			if err != nil {
				return err
			}
			values, err := configs.Load(&c, configs.Sources{Files: files})
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, v := range values {
				fmt.Fprintf(w, "%s:\t%v\t# %s\n", v.Key, v.Value, v.Origin)
			}
			return w.Flush()
		},
	}
	c.Flags().StringVar(&file, "config", "", "YAML file with options")
	return c
}
