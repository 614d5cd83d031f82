package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan(root *cobra.Command) *cobra.Command {
	var folder string
	cmd := &cobra.Command{
		Use: "man --dir DIR", Short: "Write man pages of all commands", Args: cobra.NoArgs,
		Example: "  doorward man --dir /usr/local/share/man/man1",
		RunE: func(*cobra.Command, []string) error {
			if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // man pages are for everybody
				return err
			}
			root.DisableAutoGenTag = true // the same text each time
			return doc.GenManTree(root, &doc.GenManHeader{Title: "DOORWARD", Section: "1", Source: "Doorward"}, folder)
		},
	}
	required(cmd, &folder, "dir", "the folder to write them to")
	return cmd
}

// required adds a flag that must be given.
func required(cmd *cobra.Command, value *string, name, usage string) {
	cmd.Flags().StringVar(value, name, "", usage)
	_ = cmd.MarkFlagRequired(name) // fails only for a flag that does not exist
}
