package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man FOLDER",
		Short:  "write manual pages into a folder",
		Hidden: true, // for packagers: make man
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return err
			}
			preformat(cmd.Root())
			return doc.GenManTree(cmd.Root(), &doc.GenManHeader{Title: "HISTDIST", Section: "1", Source: "histdist " + version},
				args[0])
		},
	}
}

// preformat indents the examples in all commands' texts by four spaces, which make them code in Markdown, from which
// the pages are made.
func preformat(c *cobra.Command) {
	lines := strings.Split(c.Long, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "  ") {
			lines[i] = "  " + line
		}
	}
	c.Long = strings.Join(lines, "\n")
	for _, sub := range c.Commands() {
		preformat(sub)
	}
}
