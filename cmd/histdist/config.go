package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/experiments"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "look at options", Args: cobra.NoArgs}
	c.AddCommand(configPrintCommand())
	return c
}

func configPrintCommand() *cobra.Command {
	var file, experiment string
	var set []string
	c := &cobra.Command{
		Use:   "print",
		Short: "print all options with where each value comes from",
		Long: `Prints the options of translate as a file, the environment and the defaults give them, or those of an experiment, and where each value
comes from.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var values []configs.Value
			var err error
			if experiment != "" {
				_, values, err = experiments.Load(experiment, set)
			} else {
				values, err = translateValues(file)
			}
			text, writeErr := configs.YAML(values, true)
			if writeErr == nil {
				_, writeErr = cmd.OutOrStdout().Write(text)
			}
			return errors.Join(err, writeErr)
		},
	}
	c.Flags().StringVar(&file, "config", "", "YAML file with options of translate")
	c.Flags().StringVar(&experiment, "experiment", "", "an experiment's file, or a built-in one's name")
	c.Flags().StringArrayVar(&set, "set", nil, "with --experiment: KEY=VALUE over the file's")
	return c
}

// translateValues are the options of translate.
func translateValues(file string) ([]configs.Value, error) {
	c := configs.DefaultTranslate()
	return configs.LoadFile(&c, file, nil)
}
