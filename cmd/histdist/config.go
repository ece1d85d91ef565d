package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/experiments"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "show options", Args: cobra.NoArgs}
	c.AddCommand(configPrintCommand())
	return c
}

func configPrintCommand() *cobra.Command {
	var file, experiment string
	var set []string
	var explain bool
	c := &cobra.Command{
		Use:   "print",
		Short: "print all options and where each value comes from",
		Long: `Prints the options of translate, or with --experiment those of an experiment, as YAML, and where each value
comes from: a file, the environment or the defaults. --explain adds what each option means.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var values []configs.Value
			var err error
			if experiment != "" {
				_, values, err = experiments.Load(experiment, set, note(cmd))
			} else {
				c := defaultTranslate()
				if values, err = load(cmd, &c, file, nil); err == nil {
					err = c.Translate.usePreset(values)
				}
			}
			comments := configs.Origins
			if explain {
				comments = configs.Meanings
			}
			text, writeErr := configs.YAML(values, comments)
			if writeErr == nil {
				_, writeErr = cmd.OutOrStdout().Write(text)
			}
			return errors.Join(err, writeErr)
		},
	}
	c.Flags().StringVar(&file, "config", "", "YAML file with options of translate")
	c.Flags().StringVar(&experiment, "experiment", "", "an experiment's file, or a built-in one's name")
	c.Flags().StringArrayVar(&set, "set", nil, "with --experiment: KEY=VALUE over the file's")
	c.Flags().BoolVar(&explain, "explain", false, "also print what each option means")
	return c
}
