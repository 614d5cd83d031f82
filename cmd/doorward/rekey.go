package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/internal/actor"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/signingkey"
)

// newKeyRekey changes the key-encryption key.
func newKeyRekey() *cobra.Command {
	var i installation
	var next server.KeyEncryptionKey
	var command string
	var finish bool
	cmd := &cobra.Command{
		Use: "rekey {--config FILE | --data-dir DIR} {--new-file KEYFILE | --new-command COMMAND | --finish}", Short: "Change the key-encryption key, on the server's machine", Args: cobra.NoArgs,
		Long: `Change the key-encryption key while servers run, in three steps:

1. doorward key rekey --config FILE --new-file NEWKEYFILE
   From then on servers start with the old key or the new one.
2. Name the new key in key_encryption_key of each FILE, and restart the servers one
   after the other.
3. doorward key rekey --config FILE --finish
   Seals everything anew. From then on nothing opens with the old key.

A step that broke off, in whatever way, is repeated. Keep the old key as long as you
keep backups from before step 3.`,
		Example: "  doorward key rekey --config doorward.yaml --new-command '/usr/local/bin/our-hsm --config /etc/our-hsm.json'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			next.Command = strings.Fields(command)
			if given := next.File != "" || len(next.Command) > 0; given == finish {
				return usageError{errors.New("name the new key by --new-file or --new-command; or say --finish, once all servers run with it")}
			}
			config, err := i.config()
			if err != nil {
				return err
			}
			return i.beside(cmd, func(ctx context.Context, s *server.Server) error {
				rekey := signingkey.Rekey{DB: s.Database(), Now: time.Now, Rand: rand.Reader, Log: func(format string, args ...any) {
					fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
				}}
				if rekey.Key, err = config.KeyEncryptionKey.Open(); err != nil {
					return err
				}
				by := actor.NewSystem("command line")
				if finish {
					return rekey.Finish(ctx, by)
				}
				to, err := next.Open()
				if err != nil {
					return err
				}
				return rekey.Prepare(ctx, by, to)
			})
		},
	}
	i.flags(cmd.Flags())
	cmd.Flags().StringVar(&next.File, "new-file", "", "the file of the new key")
	cmd.Flags().StringVar(&command, "new-command", "", "the program of the new key, with its arguments")
	cmd.Flags().BoolVar(&finish, "finish", false, "seal everything anew: all servers run with the new key")
	cmd.MarkFlagsMutuallyExclusive("new-file", "new-command", "finish")
	return cmd
}
