package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/histdist/histdist/infer/mosaic"
	"github.com/histdist/histdist/internal/claim"
)

func statusCommand() *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "status OUTPUT",
		Short: "show how far the shards of a job array are",
		Long: `Shows of work that is shared with --shard how much is done, what is running, where, since when and how far,
what has failed and why, what is left, and when it will end at the present pace. OUTPUT is the output of the command: a
folder, or a slide's stain, there already or not.

What is running is known by its signs of life, a few times a minute. A process that has ended, or gives none for as
long as its --dead-after says, is dead: what it had begun is listed as to be taken over.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := claim.Find(args[0], mosaic.PartsFolder)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				e := json.NewEncoder(out)
				e.SetIndent("", "  ")
				return e.Encode(found)
			}
			most := 10
			if all {
				most = 0
			}
			for i, s := range found {
				if len(found) > 1 {
					if i > 0 {
						fmt.Fprintln(out)
					}
					fmt.Fprintf(out, "%s:\n", s.Output)
				}
				fmt.Fprint(out, s.Text(most))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false,
		"print a list of JSON objects: the output's, and one for each slide in progress")
	c.Flags().BoolVar(&all, "all", false, "list all items, not only the first ten of each kind")
	return c
}
