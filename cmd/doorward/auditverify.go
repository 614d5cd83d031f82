package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/journal"
	"github.com/doorward/doorward/internal/server"
)

// newAuditVerify checks the audit chain.
func newAuditVerify() *cobra.Command {
	var i installation
	cmd := &cobra.Command{
		Use: "verify {--config FILE | --data-dir DIR}", Short: "Verify the whole audit log, on the server's machine", Args: cobra.NoArgs,
		Long: `Read the whole audit log and name the first record that was changed, removed or put
in. It runs beside the servers. The exit code is 1 if the log was changed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return i.beside(cmd, func(ctx context.Context, s *server.Server) error {
				length, err := journal.Verify(ctx, s.Database())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "all %d records of the audit log are as they were written\n", length)
				return err
			})
		},
	}
	i.flags(cmd.Flags())
	return cmd
}
